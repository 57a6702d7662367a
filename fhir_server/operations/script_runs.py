"""The job that carries out a stored TestScript and completes its TestReport."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from fhir_server.background.work import Kind, Work
from fhir_server.conformance.client import Client
from fhir_server.conformance.model import Script
from fhir_server.conformance.paths import BOUNDED
from fhir_server.conformance.reading import Unreadable
from fhir_server.conformance.reading import script as read_script
from fhir_server.conformance.results import ScriptResult
from fhir_server.conformance.runner import Options, begun
from fhir_server.conformance.runner import run as run_script
from fhir_server.conformance.server import Server
from fhir_server.conformance.testreport import test_report
from fhir_server.context import Context
from fhir_server.fhir_json import decode, encode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import read, vread
from fhir_server.interactions.request import Request
from fhir_server.interactions.update import update
from fhir_server.interactions.writing import instant_text
from fhir_server.operations.script_run import HEADER, UNFINISHED, ScriptRun
from fhir_server.outcome import Gone, NotFound, PreconditionFailed
from fhir_server.security.principal import program

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
_HEARTBEAT = 5.0
# Seconds that a teardown has when a run has taken too long.
_TEARDOWN_WITHIN = 60.0
_STORED = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})")

Transport = Callable[[str], httpx.AsyncBaseTransport]


class ScriptRuns:
    """The handler of jobs of the kind `script-run`.

    transport: how requests travel, given this server's base URL.
    """

    def __init__(self, engine: Engine, transport: Transport) -> None:
        self._engine = engine
        self._transport = transport
        self._seconds = engine.limits.test_seconds

    @property
    def kind(self) -> Kind:
        """The kind of job; a second attempt only says that the first one broke off."""
        return Kind(self, lease=LEASE, most_attempts=2)

    async def __call__(self, work: Work) -> None:
        """Carry out one run, unless its TestReport is complete or gone."""
        run = ScriptRun(**work.job.payload)
        ctx = Context(tenant=work.tenant, principal=program(run.principal), base_url=run.base_url)
        report = _Report(self._engine, ctx, run)
        if not await report.is_unfinished():
            return
        if work.job.attempts > 1:
            reason = "the worker that carried it out has ended; the run may have left resources"
            await report.write(run.stopped(reason, instant_text(ctx.now())))
            return
        await report.write(run.begun("in-progress", instant_text(ctx.now())))
        result = await self._result(work, ctx, run)
        made = decode(encode(test_report(result)))
        made["testScript"]["reference"] = f"TestScript/{run.script}"
        await report.write(made | {"id": run.report})

    async def _result(self, work: Work, ctx: Context, run: ScriptRun) -> ScriptResult:
        label = f"TestScript/{run.script}"
        try:
            script = await self._script(ctx, run)
        except (Unreadable, NotFound, Gone) as error:
            return ScriptResult(label, label, label, run.format, run.destinations[0], str(error))
        own = urlsplit(run.base_url).netloc
        client = Client(
            run.destinations,
            allowed_hosts=(own, *self._engine.limits.test_hosts),
            allow="the setting test_hosts with",
            headers={HEADER: run.report},
            transport=self._transport(run.base_url),
        )
        options = Options(format=run.format, variables=run.variables)
        async with client:
            server = Server(client, dict(enumerate(run.destinations, 1)))
            result = begun(script, server, options)
            task = asyncio.create_task(_run(script, server, options, result))
            try:
                await self._watch(work, task, result)
            finally:
                task.cancel()
                await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        return result

    async def _watch(
        self, work: Work, task: asyncio.Task[ScriptResult], result: ScriptResult
    ) -> None:
        """Hold the job until the run ends, and stop a run that takes too long."""
        ends = [self._seconds, self._seconds + _TEARDOWN_WITHIN]
        started = time.monotonic()
        while not task.done():
            passed = time.monotonic() - started
            await asyncio.wait({task}, timeout=max(0.01, min(_HEARTBEAT, ends[0] - passed)))
            if not task.done() and time.monotonic() - started >= ends[0]:
                result.problem = f"the run was stopped after {self._seconds:g} s"
                task.cancel()
                ends = ends[1:] or [float("inf")]
            async with work.store.connection(work.tenant) as connection:
                await work.checkpoint(connection, work.job.payload)

    async def _script(self, ctx: Context, run: ScriptRun) -> Script:
        """The script with what it refers to on this server."""
        asked = Request("GET", "TestScript", run.script, str(run.version))
        stored = await vread(self._engine, ctx, asked)
        name = f"TestScript/{run.script}"
        made = read_script(decode(stored.body or b""), Path(name), None)
        wanted = [each.reference for each in made.fixtures] + list(made.profiles.values())
        held: dict[str, Any] = {}
        for reference in {each for each in wanted if each}:
            found = await self._held(ctx, reference.removeprefix(f"{run.base_url}/"))
            if found is not None:
                held[reference] = found
        return replace(made, reference=name, stored=held)

    async def _held(self, ctx: Context, reference: str) -> Any:
        parts = _STORED.fullmatch(reference)
        if parts is None or parts[1] not in self._engine.definitions.resource_types:
            return None
        try:
            found = await read(self._engine, ctx, Request("GET", parts[1], parts[2]))
        except (NotFound, Gone):
            return None
        return decode(found.body or b"")


async def _run(
    script: Script, server: Server, options: Options, result: ScriptResult
) -> ScriptResult:
    BOUNDED.set(True)
    return await run_script(script, server, options, result=result)


class _Report:
    """The TestReport of a run, for as long as nobody else changes it."""

    def __init__(self, engine: Engine, ctx: Context, run: ScriptRun) -> None:
        self._engine = engine
        self._ctx = ctx
        self._id = run.report
        self._version = 0

    async def is_unfinished(self) -> bool:
        """Whether it is there and still to be completed."""
        try:
            found = await read(self._engine, self._ctx, Request("GET", "TestReport", self._id))
        except (NotFound, Gone):
            return False
        self._version = found.version
        return decode(found.body or b"")["status"] in UNFINISHED

    async def write(self, report: dict[str, Any]) -> None:
        """Store the next version; what somebody has changed or deleted meanwhile stays so."""
        asked = Request("PUT", "TestReport", self._id, resource=report)
        asked.if_match = f'W/"{self._version}"'
        try:
            self._version = (await update(self._engine, self._ctx, asked)).version
        except PreconditionFailed:
            log.warning("the TestReport of a run was changed by somebody else; it stays as it is")
