"""One run of `fhir-server demo`: from its arguments to its exit status."""

import argparse
import asyncio
import sys

import httpx
from tqdm import tqdm

from fhir_server.demo.building import Built, Refused, build

_TIMEOUT = httpx.Timeout(connect=5, read=120, write=60, pool=None)
_INTERRUPTED = 130
_MEDIA_TYPE = "application/fhir+json"


def run(arguments: argparse.Namespace) -> int:
    """0 when the hospital is there, 1 when something was refused, 130 when interrupted."""
    base_url = arguments.base_url.rstrip("/")
    if arguments.patients < 1:
        return _refuse("--patients must be 1 or more")
    try:
        built = asyncio.run(_build(arguments, base_url))
    except (Refused, httpx.HTTPError) as error:
        return _refuse(f"{base_url}: {error}")
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; the same command goes on where it stopped.\n")
        return _INTERRUPTED
    sys.stdout.write(_told(built, arguments.seed, base_url))
    return 0


async def _build(arguments: argparse.Namespace, base_url: str) -> Built:
    headers = {"Content-Type": _MEDIA_TYPE, "Accept": _MEDIA_TYPE}
    if arguments.token:
        headers["Authorization"] = f"Bearer {arguments.token}"
    with tqdm(disable=arguments.quiet or None, unit=" requests") as bar:
        async with httpx.AsyncClient(
            base_url=f"{base_url}/", headers=headers, timeout=_TIMEOUT
        ) as client:

            def advance() -> None:
                bar.update()

            return await build(
                client, arguments.seed, arguments.patients, begin=bar.reset, advance=advance
            )


def _refuse(reason: str) -> int:
    sys.stderr.write(f"fhir-server demo: {reason}\n")
    return 1


def _told(built: Built, seed: int, base_url: str) -> str:
    if built.there:
        return (
            f"{built.name} (seed {seed}) is there already; nothing was added. "
            f"Another seed makes another hospital: --seed {seed + 1}\n"
        )
    states = ", ".join(f"{number} {state}" for state, number in sorted(built.orders.items()))
    return f"""{built.name} (seed {seed}) is there, with {built.orders.total()} orders: {states}.

  Who waits for a slot:    curl '{base_url}/Task?business-status=ordered&_sort=urgency,authored-on&_include=Task:focus'
  What CT does next:       curl '{base_url}/Task?business-status=scheduled&modality=CT&_sort=scheduled&_include=Task:focus'
  What is to be reported:  curl '{base_url}/Task?business-status=completed&_sort=urgency,authored-on&_include=Task:focus'
  A patient's orders:      curl '{base_url}/ServiceRequest?patient=demo-{seed}-patient-1&_sort=-authored'
"""  # noqa: E501 - lines to be copied
