"""Scripts made in tests, and servers that answer them as a test says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from fhir_server.conformance.client import Client
from fhir_server.conformance.reading import script
from fhir_server.conformance.results import ActionResult, ScriptResult
from fhir_server.conformance.runner import Options, run
from fhir_server.conformance.server import Server

BASE_URL = "http://test/fhir"
PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "Chalmers"}]}

Json = dict[str, Any]
Respond = Callable[[httpx.Request], httpx.Response]


def operation(code: str, **elements: Any) -> Json:
    return {"operation": {"type": {"code": code}, **elements}}


def claim(**elements: Any) -> Json:
    return {"assert": elements}


def script_of(*actions: Json, **elements: Any) -> Json:
    """A TestScript with one test, unless `test` says otherwise."""
    made = {"resourceType": "TestScript", "test": [{"name": "one", "action": list(actions)}]}
    return made | elements


def answering(
    body: Any = PATIENT, status: int = 200, headers: dict[str, str] | None = None
) -> Respond:
    return lambda _: httpx.Response(status, json=body, headers=headers)


async def carried_out(
    resource: Json,
    respond: Respond | None = None,
    folder: Path = Path("/nowhere"),
    destinations: dict[int, str] | None = None,
    **options: Any,
) -> ScriptResult:
    """What comes of a script against a server that answers as `respond` says."""
    made = script(resource, folder / "script.json", folder)
    transport = httpx.MockTransport(respond or answering())
    urls = destinations or {1: BASE_URL}
    async with Client(list(urls.values()), transport=transport) as client:
        return await run(made, Server(client, urls), Options(**options))


async def only_test(resource: Json, respond: Respond | None = None, **options: Any) -> list[str]:
    """The results of the actions of the only test."""
    result = await carried_out(resource, respond, **options)
    assert not result.problem, result.problem
    return [action.result.value for action in result.tests[0].actions]


async def last_action(
    resource: Json, respond: Respond | None = None, **options: Any
) -> ActionResult:
    """What came of the last action of the last test."""
    result = await carried_out(resource, respond, **options)
    assert not result.problem, result.problem
    return result.tests[-1].actions[-1]
