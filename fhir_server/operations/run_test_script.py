"""TestScript/[id]/$run: a test of this server, or of one that the settings allow."""

import asyncio
import time
from dataclasses import asdict, replace
from urllib.parse import urlsplit

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.create import create
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import read
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.writing import instant_text
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.operations.script_run import SCRIPT_RUN, UNFINISHED, ScriptRun
from fhir_server.outcome import Forbidden, Invalid, Issue, Unavailable
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage import jobs

# Runs of one tenant that may wait or be under way.
MOST_UNFINISHED = 100
# Seconds for which a client that does not prefer respond-async waits for the end.
_ANSWER_WITHIN = 10.0
_LOOK_FIRST, _LOOK_LATER = 0.02, 0.25


async def run_test_script(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Carry out a TestScript as a job, and answer with its TestReport as far as it is.

    Raises `Invalid` for a destination that may not be tested and `Unavailable` when too many runs
    wait already.
    """
    if ctx.test_run:
        text = "A TestScript that is being carried out cannot have another one carried out"
        raise Forbidden(Issue("forbidden", text))
    script = await read(engine, ctx, Request("GET", "TestScript", parameters.id))
    run = ScriptRun(
        script=script.id,
        version=script.version,
        report="",
        base_url=ctx.base_url,
        destinations=_destinations(engine, ctx, parameters),
        variables={each["name"][0]: each["value"][0] for each in parameters.all("variable")},
        format=_format(parameters),
        principal=ctx.principal.name,
    )
    made = await _begin(engine, ctx, run)
    report = made.id
    if not parameters.request.prefer.respond_async:
        made = await _awaited(engine, ctx, report)
    made.status = 202 if _is_unfinished(made) else 200
    made.headers["Content-Location"] = f"{ctx.base_url}/TestReport/{report}"
    return made


async def _begin(engine: Engine, ctx: Context, run: ScriptRun) -> Result:
    report = run.begun("waiting", instant_text(ctx.now()))
    async with engine.store.transaction(ctx.tenant) as connection:
        waiting = await jobs.unfinished(connection, ctx.tenant, SCRIPT_RUN)
        if sum(each.state != "failed" for each in waiting) >= MOST_UNFINISHED:
            text = f"{MOST_UNFINISHED} runs of TestScripts wait already; try again later"
            raise Unavailable(Issue("throttled", text), headers={"Retry-After": "30"})
        inside = engine.within(connection)
        made = await create(inside, ctx, Request("POST", "TestReport", resource=report))
        payload = asdict(replace(run, report=made.id))
        await jobs.enqueue(connection, ctx.tenant, SCRIPT_RUN, payload, ctx.now())
    return made


async def _awaited(engine: Engine, ctx: Context, report: str) -> Result:
    """The TestReport once it is complete, or as it is when a client has waited long enough."""
    asked = Request("GET", "TestReport", report)
    end, pause = time.monotonic() + _ANSWER_WITHIN, _LOOK_FIRST
    while True:
        found = await read(engine, ctx, asked)
        if not _is_unfinished(found) or time.monotonic() > end:
            return found
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LOOK_LATER)


def _is_unfinished(report: Result) -> bool:
    return report.body is not None and decode(report.body)["status"] in UNFINISHED


def _destinations(engine: Engine, ctx: Context, parameters: Parameters) -> list[str]:
    """Base URLs of the servers to test. Raises `Invalid` for one that is not allowed."""
    given = [url.rstrip("/") for url in parameters.all("destination")] or [ctx.base_url]
    for url in given:
        if url != ctx.base_url and _host(url) not in engine.limits.test_hosts:
            allowed = ", ".join((ctx.base_url, *engine.limits.test_hosts))
            text = (
                f"{url} may not be tested from here; expected one of {allowed}. The setting"
                " test_hosts lets further hosts in"
            )
            raise Invalid(Issue("forbidden", text, "destination"), status=403)
    return given


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.netloc if parts.scheme in ("http", "https") else ""


def _format(parameters: Parameters) -> str:
    found = parameters.text("format") or "json"
    if found not in ("json", "xml"):
        raise Invalid(Issue("code-invalid", f"format={found!r}: expected json or xml", "format"))
    return found


RUN_TEST_SCRIPT = Operation(
    "TestScript-run",
    run_test_script,
    "Carry out a TestScript",
    writes=True,
    touches=("*",),
    base=OWN_BASE,
)
