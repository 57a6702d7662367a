from decimal import Decimal
from typing import Any

import pytest

from fhir_server.search import keys
from tests.search.extraction import resource
from tests.search.plain_reading import composites, differences, present


def concept(*codes: str, text: str = "") -> dict[str, Any]:
    codings = [{"system": "http://s", "code": code} for code in codes]
    return {"coding": [*codings, {"code": "own"}, {"display": "none"}], "text": text or codes[0]}


_QUANTITY = {"value": Decimal("6.30"), "comparator": "<", "unit": "mg"}
_CONTEXTS = [
    {"code": {"system": "http://s", "code": "age"}, "valueRange": {"low": {"value": 1}}},
    {"code": {"system": "http://s", "code": "age"}, "valueRange": {"low": {"unit": "a"}}},
    {"code": {"code": "focus"}, "valueCodeableConcept": concept("x", "y")},
    {"code": {"display": "none"}, "valueReference": {"reference": "Library/1"}},
]
RESOURCES = [
    resource("Basic"),
    resource(
        "Observation",
        code=concept("a", "b"),
        valueQuantity=_QUANTITY,
        subject={"reference": "Patient/1"},
        component=[
            {"code": concept("c"), "valueQuantity": _QUANTITY},
            {"code": concept("d"), "valueCodeableConcept": concept("e", "f")},
            {"code": {"text": "g"}, "valueCodeableConcept": {"text": "h"}},
            {"code": concept("i"), "valueString": "j"},
        ],
    ),
    resource("Observation", code=concept("a"), valueCodeableConcept=concept("b")),
    resource("Observation", code=concept("a"), valueString="Ödem  Rechts"),
    resource("Observation", code=concept("a"), valueString="\u0301"),
    resource("Observation", code=concept("a"), valueDateTime="1970-01"),
    resource("Observation", code=concept("a"), valuePeriod={"end": "1970-01"}),
    resource("Observation", code=concept("a"), _valueString={"extension": [{"url": "http://e"}]}),
    resource(
        "DocumentReference",
        relatesTo=[
            {"code": "replaces", "target": {"reference": "DocumentReference/1/_history/2"}},
            {"code": "signs", "target": {"reference": "#d"}},
            {"code": "appends", "target": {"display": "none"}},
        ],
    ),
    resource(
        "Group",
        characteristic=[
            {"code": concept("a"), "valueBoolean": True},
            {"code": concept("b"), "valueCodeableConcept": concept("c")},
            {"code": concept("d"), "valueQuantity": _QUANTITY},
        ],
    ),
    resource(
        "MolecularSequence",
        referenceSeq={
            "chromosome": concept("1"),
            "referenceSeqId": concept("N"),
            "windowStart": 5,
            "windowEnd": 9,
        },
        variant=[{"start": 1, "end": 2}, {"start": 3}],
    ),
    resource("Library", useContext=_CONTEXTS),
    resource("ValueSet", useContext=_CONTEXTS),
    resource(
        "Patient",
        name=[{"given": [None, "A"], "_given": [{"id": "g"}, None]}],
        telecom=[{"system": "phone"}],
        _birthDate={"extension": [{"url": "http://e"}]},
        meta={"tag": [{"display": "t"}]},
    ),
]


@pytest.mark.parametrize("holder", RESOURCES, ids=lambda holder: holder["resourceType"])
def test_extraction_enters_what_a_plain_reading_finds(holder: dict[str, Any]) -> None:
    assert differences(holder) == []


def test_the_plain_reading_finds_all_kinds_of_composites() -> None:
    found = {
        (holder["resourceType"], name) for holder in RESOURCES for name, _ in composites(holder)
    }
    assert found == {
        ("DocumentReference", "keys"),
        ("Group", "keys"),
        ("Library", "keys"),
        ("Library", "numbers"),
        ("MolecularSequence", "numbers"),
        ("Observation", "dates"),
        ("Observation", "keys"),
        ("Observation", "numbers"),
        ("Observation", "strings"),
        ("ValueSet", "keys"),
        ("ValueSet", "numbers"),
    }
    assert present(RESOURCES[0]) == set()


def test_a_composite_entered_otherwise_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "component_token_texts", lambda _system, code: (f"*\x1f{code}",))
    told = differences(RESOURCES[1])
    assert told
    assert all(text.endswith("is missing") for text in told)


def test_a_parameter_that_is_not_counted_as_present_is_a_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holder = resource("Endpoint", name="e", status="active")
    monkeypatch.setattr(keys, "presence_text", lambda codes: ",".join(list(codes)[1:]))
    assert len([text for text in differences(holder) if text.endswith("is present")]) == 1
