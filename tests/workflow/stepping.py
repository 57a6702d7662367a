"""Calling the operations of orders as clients do, with values typed by their definitions."""

from dataclasses import dataclass
from typing import Any

import httpx

from fhir_server.workflow.canonicals import ROLE
from tests.answers import resource_of
from tests.operations.calling import answered, facts
from tests.workflow.ordering import Resource, Ward, create, order, reference, ward

SOON = "2026-12-01T09:00:00Z"
FINDINGS = "Lungs clear, heart not enlarged"
IMPRESSION = "No acute disease"
REPORT = "Chest, two views. Lungs clear. No acute disease."


@dataclass(frozen=True, slots=True)
class Staff:
    """References to people who hold the roles, and to a machine."""

    scheduler: str
    technician: str
    radiologist: str
    doctor: str
    device: str


async def practitioner(client: httpx.AsyncClient, role: str, *, active: bool = True) -> str:
    """Somebody who holds a role."""
    name = [{"family": role}]
    who = await reference(client, {"resourceType": "Practitioner", "active": active, "name": name})
    code = [{"coding": [{"system": ROLE, "code": role}]}]
    held = {
        "resourceType": "PractitionerRole",
        "active": True,
        "practitioner": {"reference": who},
        "code": code,
    }
    await create(client, held)
    return who


async def staff(client: httpx.AsyncClient) -> Staff:
    """Somebody for each part."""
    roles = ("scheduler", "technician", "radiologist", "doctor")
    people = {role: await practitioner(client, role) for role in roles}
    device = await reference(client, {"resourceType": "Device", "status": "active"})
    return Staff(**people, device=device)


def parameters(name: str, given: dict[str, Any]) -> Resource:
    """A Parameters resource for an operation; strings that are references may be bare."""
    types = {each.name: each.type for each in facts(name).parameters if each.use == "in"}
    parts = [
        _part(key, types[key], each)
        for key, value in given.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    return {"resourceType": "Parameters"} | ({"parameter": parts} if parts else {})


def _part(name: str, type_: str | None, value: Any) -> Resource:
    assert type_ is not None
    if isinstance(value, dict) and "resourceType" in value:
        return {"name": name, "resource": value}
    if type_ == "Reference" and isinstance(value, str):
        value = {"reference": value}
    return {"name": name, f"value{type_[0].upper()}{type_[1:]}": value}


async def call(
    client: httpx.AsyncClient, target: str, operation: str, /, **given: Any
) -> httpx.Response:
    """Call an operation on `Type/id`; `if_match` is sent as the header."""
    headers = {"If-Match": given.pop("if_match")} if "if_match" in given else {}
    name = f"{target.partition('/')[0]}-{operation}"
    body = parameters(name, given)
    return await client.post(f"{target}/${operation}", json=body, headers=headers)


async def step(
    client: httpx.AsyncClient, target: str, operation: str, /, **given: Any
) -> dict[str, Any]:
    """What a step that must be done answers, by name; several of a name as a list."""
    name = f"{target.partition('/')[0]}-{operation}"
    found = answered(name, await call(client, target, operation, **given))
    result: dict[str, Any] = {}
    for part in found["parameter"]:
        value = part["resource"] if "resource" in part else part["valueCode"]
        if part["name"] == "observation":
            result.setdefault("observation", []).append(value)
        else:
            result[part["name"]] = value
    return result


async def ordered(
    client: httpx.AsyncClient, type_: str = "imaging", at: Ward | None = None, **more: Any
) -> str:
    """A new order, as `ServiceRequest/id`."""
    return await reference(client, order(at or await ward(client), type_, **more))


async def performed(
    client: httpx.AsyncClient, type_: str = "imaging", at: Ward | None = None, **more: Any
) -> str:
    """An order that is carried out and waits for its report."""
    found = await ordered(client, type_, at, **more)
    first = "collect-sample" if type_ == "laboratory" else "schedule"
    await step(client, found, first, **({"time": SOON} if first == "schedule" else {}))
    await step(client, found, "start")
    await step(client, found, "complete")
    return found


def texts(**more: Any) -> dict[str, Any]:
    """What a report needs, unless it is of the laboratory."""
    given = {"findings": FINDINGS, "impression": IMPRESSION, "text": REPORT, "result": "normal"}
    return given | more


def observation(
    code: str, value: float | str, *, low: float | None = None, high: float | None = None,
    **more: Any,
) -> Resource:  # fmt: skip
    """A result as a laboratory brings it."""
    unit = {"unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"}
    found: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
    }
    if isinstance(value, str):
        found["valueString"] = value
    else:
        found["valueQuantity"] = {"value": value, **unit}
    bounds = {"low": low, "high": high}
    given = {name: {"value": bound, **unit} for name, bound in bounds.items() if bound is not None}
    return found | ({"referenceRange": [given]} if given else {}) | more


async def state_of(client: httpx.AsyncClient, target: str) -> str:
    """The state of an order, as its Task tells it."""
    task = resource_of(await client.get(f"Task/{target.partition('/')[2]}"))
    return str(task["businessStatus"]["coding"][0]["code"])


async def versions(client: httpx.AsyncClient, target: str) -> list[int]:
    """How many versions order and Task have, and how many Provenances there are."""
    found = []
    for path in (target, target.replace("ServiceRequest", "Task")):
        history = resource_of(await client.get(f"{path}/_history"))
        found.append(len(history["entry"]))
    provenances = resource_of(await client.get(f"Provenance?target={target}&_summary=count"))
    return [*found, provenances["total"]]
