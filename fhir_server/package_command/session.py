"""One run of `fhir-server package`: from its arguments to its exit status."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

import httpx

from fhir_server.load.sender import HEADERS, Denied, Sender, Uncertain, Unreachable
from fhir_server.outcome import Invalid
from fhir_server.package_command.adding import Adding, Order
from fhir_server.package_command.removing import remove
from fhir_server.package_command.server import present
from fhir_server.packages import Package, read_path

_TIMEOUT = httpx.Timeout(connect=5, read=300, write=120, pool=None)
_FAILED = 1


def run(arguments: argparse.Namespace) -> int:
    """0 when it is done, 1 when something was refused."""
    try:
        return asyncio.run(_connected(arguments))
    except Invalid as error:
        return _refuse(str(error))
    except (Unreachable, Denied, Uncertain) as error:
        return _refuse(f"{arguments.base_url}: {error}")


async def _connected(arguments: argparse.Namespace) -> int:
    action = _ACTIONS[arguments.action]
    packages = [read_path(path) for path in arguments.files] if arguments.action == "add" else []
    headers = dict(HEADERS)
    if arguments.token:
        headers["Authorization"] = f"Bearer {arguments.token}"
    async with httpx.AsyncClient(headers=headers, timeout=_TIMEOUT) as client:
        base_url = arguments.base_url.rstrip("/")
        await Sender(client, base_url).greet()
        return await action(arguments, client, base_url, packages)


async def _add(
    arguments: argparse.Namespace,
    client: httpx.AsyncClient,
    base_url: str,
    packages: list[Package],
) -> int:
    there = await present(client, base_url)
    order = Order(packages, there.versions)
    if order.missing and not arguments.force:
        return _refuse(
            "these packages are neither given nor on the server:\n"
            + "".join(f"  {needed}, for {', '.join(by)}\n" for needed, by in order.missing.items())
            + "Give them too, or add without them: --force."
        )
    adding = Adding(Sender(client, base_url), there, arguments.examples, arguments.quiet)
    done = [await adding.add(package) for package in order.packages]
    return 0 if all(done) else _FAILED


async def _list(
    _arguments: argparse.Namespace, client: httpx.AsyncClient, base_url: str, _: list[Package]
) -> int:
    there = await present(client, base_url)
    for code, count in sorted(there.counts.items()):
        sys.stdout.write(f"{code}\t{count}\n")
    return 0


async def _remove(
    arguments: argparse.Namespace, client: httpx.AsyncClient, base_url: str, _: list[Package]
) -> int:
    there = await present(client, base_url)
    meant: list[str] = []
    for name in arguments.names:
        wanted = name.replace("@", "#")
        found = [code for code in there.counts if wanted in (code, code.partition("#")[0])]
        if not found:
            known = ", ".join(sorted(there.counts)) or "none"
            return _refuse(f"there is no package {name} on the server; there are: {known}")
        meant += found
    done = [await remove(client, base_url, each) for each in dict.fromkeys(meant)]
    return 0 if all(done) else _FAILED


_Action = Callable[[argparse.Namespace, httpx.AsyncClient, str, list[Package]], Awaitable[int]]
_ACTIONS: dict[str, _Action] = {"add": _add, "list": _list, "remove": _remove}


def _refuse(reason: str) -> int:
    sys.stderr.write(f"fhir-server package: {reason}\n")
    return _FAILED
