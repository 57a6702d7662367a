"""TestScripts made in tests, and what comes of them on the server."""

from typing import Any

import httpx

from tests.answers import resource_of
from tests.operations.calling import answered, parameters

Json = dict[str, Any]

PATIENT = {"resourceType": "Patient", "name": [{"family": "Chalmers"}]}


def operation(code: str, **elements: Any) -> Json:
    type_ = {"system": "http://terminology.hl7.org/CodeSystem/testscript-operation-codes"}
    return {"operation": {"type": type_ | {"code": code}, "encodeRequestUrl": True} | elements}


def claim(**elements: Any) -> Json:
    return {"assert": {"warningOnly": False} | elements}


def script_of(*actions: Json, **elements: Any) -> Json:
    return {
        "resourceType": "TestScript",
        "url": "http://example.org/TestScript/one",
        "name": "One",
        "status": "active",
        "test": [{"name": "one", "action": list(actions)}],
    } | elements


async def stored(client: httpx.AsyncClient, resource: Json) -> str:
    """The id of what was created."""
    made = resource_of(await client.post(resource["resourceType"], json=resource), 201)
    return str(made["id"])


async def run(client: httpx.AsyncClient, script: Json, *given: Json) -> Json:
    """The TestReport of a run that ends soon."""
    id_ = await stored(client, script)
    body = parameters(*given) if given else None
    answer = await client.post(f"TestScript/{id_}/$run", json=body)
    return answered("TestScript-run", answer)


def results(report: Json) -> list[str]:
    return [
        each["result"]
        for test in report["test"]
        for action in test["action"]
        for each in action.values()
    ]


def messages(report: Json) -> str:
    sections = [*report.get("test", ()), report.get("setup", {}), report.get("teardown", {})]
    actions = [action for section in sections for action in section.get("action", ())]
    return "\n".join(each.get("message", "") for action in actions for each in action.values())
