"""Orders, and what has to be there before somebody can order."""

import itertools
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_server.workflow.canonicals import (
    ACCESSION_NUMBER,
    BASE,
    ORDER_NUMBER,
    ORDER_STATUS,
    ORDER_TYPE,
    structure_definition,
)
from tests.answers import resource_of

Resource = dict[str, Any]

INDICATION = "Persistent cough for three weeks"
_names = itertools.count()


@dataclass(frozen=True, slots=True)
class Ward:
    """References to a patient with an open encounter, and to who orders for them."""

    patient: str
    encounter: str
    practitioner: str


async def create(client: httpx.AsyncClient, resource: Resource) -> Resource:
    """Store a resource that must be taken."""
    return resource_of(await client.post(resource["resourceType"], json=resource), 201)


async def reference(client: httpx.AsyncClient, resource: Resource) -> str:
    """Store a resource and refer to it."""
    stored = await create(client, resource)
    return f"{stored['resourceType']}/{stored['id']}"


def encounter(patient: str, **more: Any) -> Resource:
    """An encounter under way."""
    found = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "AMB",
        },
        "subject": {"reference": patient},
    }
    return found | more


async def ward(client: httpx.AsyncClient) -> Ward:
    """A patient, an encounter and a practitioner of their own."""
    name = [{"family": f"Ward{next(_names)}"}]
    patient = await reference(client, {"resourceType": "Patient", "name": name})
    return Ward(
        patient,
        await reference(client, encounter(patient)),
        await reference(client, {"resourceType": "Practitioner", "name": name, "active": True}),
    )


def category(type_: str) -> Resource:
    """The category that makes an order of a ServiceRequest."""
    return {"coding": [{"system": ORDER_TYPE, "code": type_}]}


def order(at: Ward, type_: str = "imaging", **more: Any) -> Resource:
    """An order that nothing is wrong with."""
    found: Resource = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "category": [category(type_)],
        "priority": "urgent",
        "code": {"text": "as asked"},
        "subject": {"reference": at.patient},
        "encounter": {"reference": at.encounter},
        "requester": {"reference": at.practitioner},
        "reasonCode": [{"text": INDICATION}],
    }
    return found | _OF_TYPE[type_] | more


def _code(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{BASE}/CodeSystem/{system}", "code": code}]}


_OF_TYPE: dict[str, Resource] = {
    "imaging": {
        "code": {"text": "Chest, two views"},
        "bodySite": [_code("body-part", "CHEST")],
        "extension": [
            {
                "url": structure_definition("order-modality"),
                "valueCoding": {"system": f"{BASE}/CodeSystem/modality", "code": "XRAY"},
            }
        ],
    },
    "laboratory": {"code": _code("laboratory-catalogue", "CBC")},
    "procedure": {"code": _code("procedure-catalogue", "45378")},
}


def number(resource: Resource, system: str = ORDER_NUMBER) -> str:
    """The value of an order's identifier."""
    found = [each["value"] for each in resource["identifier"] if each.get("system") == system]
    assert len(found) == 1, resource["identifier"]
    return str(found[0])


def accession(resource: Resource) -> str:
    """The accession number of an order."""
    return number(resource, ACCESSION_NUMBER)


async def task_of(client: httpx.AsyncClient, request: Resource) -> Resource:
    """The Task of an order."""
    return resource_of(await client.get(f"Task/{request['id']}"), 200)


def state(task: Resource) -> str:
    """The state that a Task tells of."""
    (coding,) = task["businessStatus"]["coding"]
    assert coding["system"] == ORDER_STATUS
    return str(coding["code"])


def codes(outcome: Resource) -> list[str]:
    """The details of the issues of an OperationOutcome."""
    return [
        coding["code"]
        for issue in outcome["issue"]
        for coding in issue.get("details", {}).get("coding", ())
    ]
