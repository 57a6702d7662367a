"""The definitions that come with the server, and orders that keep them."""

from functools import cache
from typing import Any

from fhir_server.packaged import folder
from fhir_server.provisioning.files import Json, read_provided
from fhir_server.validation_command.checking import Checker
from fhir_server.validation_command.known import Known

BASE = "https://fhir-server.example/r4"


@cache
def provided() -> dict[tuple[str, str], Json]:
    """What comes with the server, by type and id."""
    return {each.identity: each.resource for each in read_provided([folder("profiles")])}


@cache
def checker() -> Checker:
    """Validation by what comes with the server."""
    return Checker(Known([], provided().values()), ())


async def broken_rules(order: Json, profile: str) -> set[str]:
    """The rules of a profile that an order breaks."""
    claimed = order | {"meta": {"profile": [f"{BASE}/StructureDefinition/{profile}"]}}
    found = await checker().findings(claimed)
    return {each.rule for each in found if each.severity in ("error", "fatal")}


def extension(name: str, **value: Any) -> Json:
    """An extension of orders."""
    return {"url": f"{BASE}/StructureDefinition/{name}", **value}


def coding(system: str, code: str) -> Json:
    """A code of one of the server's code systems."""
    return {"system": f"{BASE}/CodeSystem/{system}", "code": code}


def order(type_: str, **more: Any) -> Json:
    """What every order has."""
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "category": [{"coding": [coding("order-type", type_)]}],
        "priority": "routine",
        "code": {"text": "what is to be done"},
        "subject": {"reference": "Patient/p"},
        "encounter": {"reference": "Encounter/e"},
        "requester": {"reference": "Practitioner/d"},
        "reasonCode": [{"text": "Cough for three weeks"}],
        **more,
    }


def imaging(modality: str = "CT", part: str = "CHEST", **more: Any) -> Json:
    """An imaging order."""
    return order(
        "imaging",
        **{
            "extension": [extension("order-modality", valueCoding=coding("modality", modality))],
            "bodySite": [{"coding": [coding("body-part", part)]}],
        }
        | more,
    )


def laboratory(test: str = "CBC", **more: Any) -> Json:
    """A laboratory order."""
    return order(
        "laboratory", **{"code": {"coding": [coding("laboratory-catalogue", test)]}} | more
    )


def procedure(code: str = "45378", **more: Any) -> Json:
    """An order of a procedure."""
    return order("procedure", **{"code": {"coding": [coding("procedure-catalogue", code)]}} | more)
