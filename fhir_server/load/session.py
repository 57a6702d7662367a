"""One run of `fhir-server load`: from its arguments to its exit status."""

import argparse
import asyncio
import json
import signal
import sys
import time

import httpx

from fhir_server.load.journal import Journal
from fhir_server.load.loader import Loader
from fhir_server.load.progress import Progress
from fhir_server.load.sender import HEADERS, Denied, Sender, Unreachable
from fhir_server.load.sources import NothingToLoad, Source, find
from fhir_server.load.summary import Summary

_TIMEOUT = httpx.Timeout(connect=5, read=300, write=120, pool=None)
_INTERRUPTED = 130


def run(arguments: argparse.Namespace) -> int:
    """0 when all is stored, 1 when something failed, 130 when interrupted."""
    try:
        stages = find(arguments.paths)
    except NothingToLoad as error:
        return _refuse(str(error))
    if arguments.parallel < 1:
        return _refuse("--parallel must be 1 or more")
    started = time.monotonic()
    try:
        summary = asyncio.run(_load(arguments, stages))
    except (Unreachable, Denied) as error:
        return _refuse(f"{arguments.base_url}: {error}")
    except asyncio.CancelledError:
        return _INTERRUPTED
    summary.seconds = time.monotonic() - started
    sys.stderr.write(summary.as_text() + "\n")
    if arguments.report:
        arguments.report.write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    if summary.interrupted:
        return _INTERRUPTED
    return 0 if summary.ok else 1


async def _load(arguments: argparse.Namespace, stages: list[list[Source]]) -> Summary:
    base_url = arguments.base_url.rstrip("/")
    headers = dict(HEADERS)
    if arguments.token:
        headers["Authorization"] = f"Bearer {arguments.token}"
    limits = httpx.Limits(max_connections=arguments.parallel + 1)
    async with httpx.AsyncClient(headers=headers, timeout=_TIMEOUT, limits=limits) as client:
        sender = Sender(client, base_url)
        await sender.greet()
        journal = Journal(None if arguments.no_resume else arguments.journal, base_url)
        total = sum(source.size for stage in stages for source in stage)
        try:
            with Progress(total, arguments.quiet) as progress:
                loader = Loader(sender, journal, progress, arguments.parallel)
                _stop_on_interrupt(loader)
                return await loader.load(stages)
        finally:
            journal.close()


def _stop_on_interrupt(loader: Loader) -> None:
    """The first Ctrl-C lets the requests on their way end, the second breaks them off."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def interrupted() -> None:
        if loader.stop.is_set() and main is not None:
            main.cancel()
        else:
            sys.stderr.write("\nEnding after the requests on their way; again to end at once.\n")
            loader.stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)


def _refuse(reason: str) -> int:
    sys.stderr.write(f"fhir-server load: {reason}\n")
    return 1
