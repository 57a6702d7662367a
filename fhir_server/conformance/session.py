"""One run of `fhir-server test`: from its arguments to its exit status."""

import argparse
import asyncio
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from fhir_server import fhir_json
from fhir_server.conformance import html
from fhir_server.conformance.client import MEBIBYTE, Client
from fhir_server.conformance.finding import Found, NothingToTest, find
from fhir_server.conformance.junit import junit
from fhir_server.conformance.own_server import NotStarted, own_server
from fhir_server.conformance.progress import Progress
from fhir_server.conformance.results import ScriptResult, Totals
from fhir_server.conformance.runner import Options, begun
from fhir_server.conformance.runner import run as run_script
from fhir_server.conformance.server import Server
from fhir_server.conformance.summary import totals_told
from fhir_server.conformance.testreport import test_report

_USAGE = 2
_INTERRUPTED = 130


class WrongOption(Exception):
    """An option with a value that cannot be; says which could."""


def run(arguments: argparse.Namespace) -> int:
    """0 when nothing failed, 1 when something did, 2 for wrong options, 130 when interrupted."""
    try:
        _check(arguments)
        found = [each for each in find(arguments.paths) if _wanted(each, arguments.filter)]
        if not found:
            raise NothingToTest(f"no script or test is called like {arguments.filter!r}")
        if arguments.report is not None:
            arguments.report.mkdir(parents=True, exist_ok=True)
    except (WrongOption, NothingToTest) as error:
        return _refuse(str(error), _USAGE)
    except OSError as error:
        return _refuse(f"--report: {error}", _USAGE)
    results: list[ScriptResult] = []
    started = time.monotonic()
    interrupted = False
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        base_url = arguments.base_url
        with nullcontext(base_url.rstrip("/")) if base_url else own_server() as url:
            try:
                asyncio.run(_run(arguments, found, url, results))
            finally:
                # The loop had the signal; the server of its own is still to be stopped.
                signal.signal(signal.SIGTERM, _interrupt)
    except NotStarted as error:
        return _refuse(str(error), 1)
    except (asyncio.CancelledError, KeyboardInterrupt):
        interrupted = True
        _refuse("interrupted", _INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
    return _concluded(arguments, results, time.monotonic() - started, interrupted)


def _interrupt(number: int, _: object) -> NoReturn:
    raise KeyboardInterrupt(number)


def _concluded(
    arguments: argparse.Namespace,
    results: list[ScriptResult],
    seconds: float,
    interrupted: bool,
) -> int:
    """Tell what came of the scripts that were begun, and write the reports of them."""
    totals = Totals.of(results, seconds)
    if results or not interrupted:
        sys.stderr.write(totals_told(totals) + "\n")
        if arguments.report is not None:
            try:
                _write(arguments.report, results, totals)
            except OSError as error:
                return _refuse(f"--report: {error}", 1)
    if interrupted:
        return _INTERRUPTED
    return 0 if totals.ok else 1


def _check(arguments: argparse.Namespace) -> None:
    urls = [arguments.base_url] if arguments.base_url else []
    for number, url in arguments.destination:
        if not number.isdecimal() or int(number) < 1:
            raise WrongOption(f"--destination {number}={url}: expected a number and a URL")
        urls.append(url)
    for url in urls:
        if not _is_url(url):
            raise WrongOption(f"{url!r}: expected a URL that begins with http:// or https://")
    if arguments.parallel < 1:
        raise WrongOption("--parallel must be 1 or more")
    if arguments.timeout <= 0 or arguments.max_response < 1:
        raise WrongOption("--timeout and --max-response must be more than 0")
    if arguments.examples is not None and not arguments.examples.is_dir():
        raise WrongOption(f"--examples: {arguments.examples} is no folder")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in text


def _wanted(found: Found, text: str) -> bool:
    """Whether a file is wanted, for its own name or for that of one of its tests."""
    if _named(found, text) or found.script is None:
        return _named(found, text)
    return any(text.lower() in test.name.lower() for test in found.script.tests)


def _named(found: Found, text: str) -> bool:
    title = "" if found.script is None else found.script.title
    return text.lower() in found.label.lower() or text.lower() in title.lower()


async def _run(
    arguments: argparse.Namespace, found: list[Found], base_url: str, results: list[ScriptResult]
) -> None:
    """Carry out scripts; what comes of each is in `results` as soon as it is begun."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        if task is not None:
            loop.add_signal_handler(number, task.cancel)
    destinations = {1: base_url} | {
        int(number): url.rstrip("/") for number, url in arguments.destination
    }
    formats = ("json", "xml") if arguments.format == "both" else (arguments.format,)
    tests = sum(len(each.script.tests) for each in found if each.script) * len(formats)
    limit = asyncio.Semaphore(arguments.parallel)
    client = Client(
        list(destinations.values()),
        token=arguments.token,
        allowed_hosts=tuple(arguments.allow_host),
        seconds=arguments.timeout,
        most_bytes=arguments.max_response * MEBIBYTE,
    )
    async with client:
        server = Server(client, destinations)
        with Progress(tests, arguments.quiet) as progress:

            async def one(each: Found, options: Options) -> None:
                async with limit:
                    if each.script is None:
                        made = ScriptResult(
                            each.label, Path(each.label).stem, "", options.format, base_url,
                            each.problem,
                        )  # fmt: skip
                    else:
                        made = begun(each.script, server, options)
                    results.append(made)
                    try:
                        if each.script is not None:
                            await run_script(each.script, server, options, progress.part, made)
                    finally:
                        progress.script(made)

            # Unlike gather, a group waits for every teardown when it is cancelled.
            async with asyncio.TaskGroup() as group:
                for format_ in formats:
                    for each in found:
                        group.create_task(one(each, _options(arguments, each, format_)))


def _options(arguments: argparse.Namespace, found: Found, format_: str) -> Options:
    options = Options(
        format=format_,
        variables=dict(arguments.variable),
        examples=arguments.examples,
        any_success=arguments.okay_is_success,
    )
    if _named(found, arguments.filter):
        return options
    return replace(options, only=lambda name: arguments.filter.lower() in name.lower())


def _write(folder: Path, results: list[ScriptResult], totals: Totals) -> None:
    for name, script in zip(_names(results), results, strict=True):
        (folder / name).write_bytes(fhir_json.encode_pretty(test_report(script)) + b"\n")
    (folder / "junit.xml").write_bytes(junit(results, totals.seconds))
    (folder / "report.html").write_text(html.page(results, totals, totals_told(totals)))
    sys.stderr.write(f"Reports: {folder / 'report.html'}\n")


def _names(results: list[ScriptResult]) -> Iterator[str]:
    """A file name for each TestReport, made of the path of its script."""
    used: set[str] = set()
    for script in results:
        stem = re.sub(r"[^A-Za-z0-9.-]+", "-", script.label.removesuffix(".json")).strip("-.")
        stem = f"TestReport-{stem[-100:]}-{script.format}"
        name, number = stem, 1
        while name in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name)
        yield f"{name}.json"


def _refuse(reason: str, status: int) -> int:
    sys.stderr.write(f"fhir-server test: {reason}\n")
    return status
