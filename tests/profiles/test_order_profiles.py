"""ORD-2: what orders of each type must say, and what they may."""

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.provisioning.files import Json
from tests.profiles.given import (
    broken_rules,
    checker,
    coding,
    extension,
    imaging,
    laboratory,
    order,
    procedure,
    provided,
)

ORDERS: dict[str, Callable[..., Json]] = {
    "imaging": imaging,
    "laboratory": laboratory,
    "procedure": procedure,
}
TYPES = sorted(ORDERS)


def without(resource: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != name}


@pytest.mark.parametrize("type_", TYPES)
async def test_an_order_with_what_it_needs_is_valid(type_: str) -> None:
    assert await broken_rules(ORDERS[type_](), f"{type_}-order") == set()


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(
    "name", ["category", "subject", "encounter", "requester", "priority", "code"]
)
async def test_what_every_order_needs_may_not_be_missing(type_: str, name: str) -> None:
    assert "min" in await broken_rules(without(ORDERS[type_](), name), f"{type_}-order")


@pytest.mark.parametrize("type_", TYPES)
async def test_an_order_of_another_type_is_refused(type_: str) -> None:
    other = TYPES[TYPES.index(type_) - 1]
    category = {"category": [{"coding": [coding("order-type", other)]}]}
    assert "min" in await broken_rules(ORDERS[type_]() | category, f"{type_}-order")


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("priority", ["routine", "urgent", "asap", "stat"])
async def test_priorities(type_: str, priority: str) -> None:
    assert await broken_rules(ORDERS[type_](priority=priority), f"{type_}-order") == set()


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("x" * 9, {"order-indication-length"}),
        ("  nine char   ", {"order-indication-length"}),
        ("x" * 10, set()),
        ("x" * 2000, set()),
        ("x" * 2001, {"order-indication-length"}),
    ],
)
@pytest.mark.parametrize("type_", TYPES)
async def test_an_indication_has_10_to_2000_characters(
    type_: str, text: str, broken: set[str]
) -> None:
    reason = {"reasonCode": [{"text": text}]}
    assert await broken_rules(ORDERS[type_]() | reason, f"{type_}-order") == broken


@pytest.mark.parametrize("type_", TYPES)
async def test_a_diagnosis_supplies_the_indication(type_: str) -> None:
    bare = without(ORDERS[type_](), "reasonCode")
    assert await broken_rules(bare, f"{type_}-order") == {"order-indication"}
    named = bare | {"reasonReference": [{"reference": "Condition/c"}]}
    assert await broken_rules(named, f"{type_}-order") == set()
    other = bare | {"reasonReference": [{"reference": "Observation/o"}]}
    assert await broken_rules(other, f"{type_}-order") == {"targetProfile"}


@pytest.mark.parametrize("type_", TYPES)
async def test_instructions_and_notes_are_taken(type_: str) -> None:
    more = {
        "orderDetail": [{"text": "Take the wheelchair lift."}],
        "patientInstruction": "Drink two litres the evening before.",
        "note": [{"text": "Afraid of needles."}],
        "occurrenceDateTime": "2026-11-23T08:00:00Z",
        "supportingInfo": [{"reference": "Observation/o"}],
    }
    assert await broken_rules(ORDERS[type_](**more), f"{type_}-order") == set()


MODALITIES = [each["code"] for each in provided()["CodeSystem", "modality"]["concept"]]
PARTS = {
    each["code"]: {item["valueCode"] for item in each["property"] if item["code"] == "modality"}
    for each in provided()["CodeSystem", "body-part"]["concept"]
}


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("part", PARTS)
async def test_a_body_part_is_one_to_which_the_modality_applies(modality: str, part: str) -> None:
    expected = set() if modality in PARTS[part] else {"imaging-body-part"}
    assert await broken_rules(imaging(modality, part), "imaging-order") == expected


async def test_imaging_needs_modality_and_body_part_of_the_catalogue() -> None:
    assert "min" in await broken_rules(without(imaging(), "bodySite"), "imaging-order")
    assert "min" in await broken_rules(without(imaging(), "extension"), "imaging-order")
    assert "binding" in await broken_rules(imaging(part="TAIL"), "imaging-order")
    assert "binding" in await broken_rules(imaging(modality="PET"), "imaging-order")


IMAGING = extension("order-modality", valueCoding=coding("modality", "CT"))
LATERALITY = {"coding": [{"system": "http://snomed.info/sct", "code": "419161000"}]}


async def test_imaging_says_side_contrast_and_history() -> None:
    extensions = [
        IMAGING,
        extension("order-laterality", valueCodeableConcept=LATERALITY),
        extension("order-contrast", valueBoolean=True),
        extension("order-clinical-history", valueString="Smoker since 1990."),
    ]
    assert await broken_rules(imaging(extension=extensions), "imaging-order") == set()
    wrong = [IMAGING, extension("order-laterality", valueCodeableConcept={"text": "up"})]
    assert "binding" in await broken_rules(imaging(extension=wrong), "imaging-order")
    twice = [*extensions, extension("order-contrast", valueBoolean=False)]
    assert "max" in await broken_rules(imaging(extension=twice), "imaging-order")


async def test_a_laboratory_order_says_specimen_fasting_and_members() -> None:
    specimen = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0487", "code": "BLD"}]
    }
    member = {"system": "http://loinc.org", "code": "718-7"}
    extensions = [
        extension("order-specimen-type", valueCodeableConcept=specimen),
        extension("order-fasting", valueBoolean=True),
        extension("order-panel-member", valueCoding=member),
        extension("order-panel-member", valueCoding=member | {"code": "777-3"}),
    ]
    given = laboratory(extension=extensions, specimen=[{"reference": "Specimen/s"}])
    assert await broken_rules(given, "laboratory-order") == set()
    assert "binding" in await broken_rules(laboratory("UNICORN"), "laboratory-order")


async def test_a_procedure_says_anaesthesia_and_minutes() -> None:
    extensions = [
        extension("order-anaesthesia", valueCoding=coding("anaesthesia", "sedation")),
        extension("order-estimated-minutes", valuePositiveInt=45),
    ]
    assert await broken_rules(procedure(extension=extensions), "procedure-order") == set()
    wrong = [extension("order-anaesthesia", valueCoding=coding("anaesthesia", "hammer"))]
    assert "binding" in await broken_rules(procedure(extension=wrong), "procedure-order")
    assert "binding" in await broken_rules(procedure("99999"), "procedure-order")


async def test_an_extension_of_orders_stands_nowhere_else() -> None:
    patient = {
        "resourceType": "Patient",
        "extension": [extension("order-contrast", valueBoolean=True)],
    }
    assert "context" in {each.rule for each in await checker().findings(patient)}


async def test_an_order_without_profile_is_plain_fhir() -> None:
    findings = await checker().findings(without(order("imaging"), "priority"))
    assert not [each for each in findings if each.severity == "error"]
