"""FHIRPath Patch (R4 fhirpatch.html)."""

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.outcome import Invalid
from fhir_server.patch import PatchFailed, parse_patch, patch_in_bundle

EXTENSION = {"url": "urn:x", "valueCode": "y"}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "name": [
        {"family": "Chalmers", "given": ["Peter", "James"], "_given": [None, {"id": "g"}]},
        {"text": "Jim"},
    ],
    "birthDate": "1974-12-25",
    "_birthDate": {"id": "b"},
    "deceasedBoolean": False,
}


def operation(type_: str, path: str, *parts: dict[str, Any], **simple: Any) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        {"name": "type", "valueCode": type_},
        {"name": "path", "valueString": path},
    ]
    for name, value in simple.items():
        suffix = "String" if isinstance(value, str) else "Integer"
        found.append({"name": name, f"value{suffix}": value})
    return {"name": "operation", "part": [*found, *parts]}


def value(**given: Any) -> dict[str, Any]:
    return {"name": "value", **given}


def parameters(*operations: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def applied(*operations: Any, resource: dict[str, Any] = PATIENT) -> Any:
    data = json.dumps(parameters(*operations)).encode()
    return parse_patch("application/fhir+json", data)(copy.deepcopy(resource))


def names(**first: Any) -> list[Any]:
    return [{"family": "Chalmers"} | first, {"text": "Jim"}]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            operation("add", "Patient", value(valueCode="male"), name="gender"),
            {"gender": "male"},
        ),
        (
            operation("add", "Patient.name[1]", value(valueString="J"), name="given"),
            {"name": [PATIENT["name"][0], {"text": "Jim", "given": ["J"]}]},
        ),
        (
            operation("add", "Patient.name[0]", value(valueString="J"), name="given"),
            {"name": names(given=["Peter", "James", "J"], _given=[None, {"id": "g"}, None])},
        ),
        (
            operation("add", "Patient", value(valueInteger=2), name="multipleBirth"),
            {"multipleBirthInteger": 2},
        ),
        (
            operation(
                "add", "Patient.birthDate", value(valueExtension=EXTENSION), name="extension"
            ),
            {"_birthDate": {"id": "b", "extension": [EXTENSION]}},
        ),
        (
            operation(
                "add", "Patient.name[1].text", value(valueExtension=EXTENSION), name="extension"
            ),
            {
                "name": [
                    PATIENT["name"][0],
                    {"text": "Jim", "_text": {"extension": [EXTENSION]}},
                ]
            },
        ),
        (
            operation(
                "add",
                "Patient",
                value(
                    part=[
                        {"name": "gender", "valueCode": "male"},
                        {"name": "telecom", "valueContactPoint": {"value": "1"}},
                        {"name": "telecom", "valueContactPoint": {"value": "2"}},
                    ]
                ),
                name="contact",
            ),
            {"contact": [{"gender": "male", "telecom": [{"value": "1"}, {"value": "2"}]}]},
        ),
        (
            operation(
                "add",
                "Patient",
                value(resource={"resourceType": "Basic", "id": "c"}),
                name="contained",
            ),
            {"contained": [{"resourceType": "Basic", "id": "c"}]},
        ),
        (
            operation("insert", "Patient.name[0].given", value(valueString="J"), index=0),
            {"name": names(given=["J", "Peter", "James"], _given=[None, None, {"id": "g"}])},
        ),
        (
            operation("move", "Patient.name[0].given", source=1, destination=0),
            {"name": names(given=["James", "Peter"], _given=[{"id": "g"}, None])},
        ),
        (
            operation("delete", "Patient.name[0].given[1]"),
            {"name": names(given=["Peter"])},
        ),
        (operation("delete", "Patient.name.where(text = 'Jim')"), {"name": PATIENT["name"][:1]}),
        (operation("delete", "Patient.contact"), {}),
        (
            operation("replace", "Patient.birthDate", value(valueDate="1980")),
            {"birthDate": "1980", "_birthDate": None},
        ),
        (
            operation("replace", "Patient.birthDate", value(_valueDate={"id": "n"})),
            {"birthDate": None, "_birthDate": {"id": "n"}},
        ),
        (
            operation("replace", "Patient.deceased", value(valueDateTime="2020")),
            {"deceasedBoolean": None, "deceasedDateTime": "2020"},
        ),
        (
            operation("replace", "Patient.name[1]", value(valueHumanName={"text": "K"})),
            {"name": [PATIENT["name"][0], {"text": "K"}]},
        ),
    ],
)
def test_an_operation_changes_what_it_names_and_nothing_else(
    change: dict[str, Any], expected: dict[str, Any]
) -> None:
    result = {key: item for key, item in (PATIENT | expected).items() if item is not None}
    assert applied(change) == result


def test_operations_see_what_those_before_them_did() -> None:
    result = applied(
        operation("delete", "Patient.name[0]"),
        operation("add", "Patient.name[0]", value(valueCode="usual"), name="use"),
    )
    assert result["name"] == [{"text": "Jim", "use": "usual"}]


@pytest.mark.parametrize(
    "change",
    [
        operation("add", "Patient.contact", value(valueCode="male"), name="gender"),
        operation("add", "Patient.name", value(valueCode="usual"), name="use"),
        operation("add", "Patient", value(valueCode="male"), name="nonsense"),
        operation("add", "Patient", value(valueDate="1980"), name="birthDate"),
        operation("add", "Patient", value(valueDateTime="1980"), name="deceased"),
        operation("add", "Patient", value(valueHumanName={}), name="multipleBirth"),
        operation("add", "Patient", value(part=[value(valueCode="x")]), name="contact"),
        operation("add", "Patient", value(part=[value(valueCode="x")]), name="gender"),
        operation("insert", "Patient.name", value(valueHumanName={}), index=3),
        operation("insert", "Patient.name", value(valueHumanName={}), index=-1),
        operation("insert", "Patient.contact", value(valueHumanName={}), index=0),
        operation("insert", "Patient.birthDate", value(valueDate="1"), index=0),
        operation("insert", "Patient.name.where(text = 'Jim')", value(valueHumanName={}), index=0),
        operation("move", "Patient.name", source=2, destination=0),
        operation("move", "Patient.name", source=0, destination=2),
        operation("delete", "Patient"),
        operation("delete", "Patient.name"),
        operation("delete", "Patient.nonsense"),
        operation("delete", "1"),
        operation("delete", "Patient.name.count()"),
        operation("replace", "Patient.gender", value(valueCode="male")),
        operation("replace", "Patient", value(resource={"resourceType": "Group"})),
        operation("replace", "Patient.deceased", value(valueHumanName={"text": "x"})),
        operation("replace", "Patient.nonsense()", value(valueCode="male")),
        operation("delete", "(1 | 2) + 1"),
    ],
)
def test_what_cannot_be_applied_fails_with_the_index_of_its_operation(
    change: dict[str, Any],
) -> None:
    with pytest.raises(PatchFailed) as caught:
        applied(operation("delete", "Patient.contact"), change)
    assert caught.value.issues[0].diagnostics.startswith("Operation 1: ")


@pytest.mark.parametrize(
    "change",
    [
        "x",
        {},
        {"name": "other", "part": []},
        {"name": "operation"},
        {"name": "operation", "part": ["x"]},
        operation("nonsense", "Patient"),
        operation("delete", "Patient..name"),
        operation("delete", "Patient", name=7),
        operation("delete", "Patient", {"name": "path", "valueString": "Patient"}),
        operation("delete", "Patient", {"name": "nonsense", "valueString": "Patient"}),
        operation("add", "Patient", name="gender"),
        operation("add", "Patient", value(valueCode="male")),
        operation("add", "Patient", value(valueCode="x", valueDate="y"), name="gender"),
        operation("add", "Patient", value(part=["x"]), name="contact"),
        operation("insert", "Patient.name", value(valueCode="male"), index="0"),
        operation("move", "Patient.name", source=0),
        operation("replace", "Patient.name"),
    ],
)
def test_what_is_no_operation_is_refused_with_its_index(change: Any) -> None:
    with pytest.raises(Invalid) as caught:
        applied(operation("delete", "Patient.contact"), change)
    assert caught.value.issues[0].diagnostics.startswith("Operation 1: ")
    assert caught.value.status == 400


@pytest.mark.parametrize("data", [b"[]", b"1", b"{}", b'{"resourceType":"Patient"}', b"<", b""])
def test_what_is_no_parameters_resource_is_refused(data: bytes) -> None:
    for name in ("application/fhir+json", "application/fhir+xml"):
        with pytest.raises(Invalid):
            parse_patch(name, data)


def test_a_bundle_holds_it_as_it_is() -> None:
    patch = patch_in_bundle(parameters(operation("delete", "Patient.birthDate")))
    assert "birthDate" not in patch(copy.deepcopy(PATIENT))


def test_a_patch_can_be_applied_again() -> None:
    add = operation("add", "Patient", value(valueAddress={"line": ["1"]}), name="address")
    more = operation("add", "Patient.address[0]", value(valueString="2"), name="line")
    patch = patch_in_bundle(parameters(add, more))
    assert patch(copy.deepcopy(PATIENT)) == patch(copy.deepcopy(PATIENT))


paths = st.sampled_from(
    ["Patient", "Patient.name", "Patient.name[0]", "Patient.name.given", "Patient.birthDate",
     "Patient.deceased", "Patient.name[0].given[1]", "Patient.name[0].given", "Patient.id",
     "Patient.birthDate.id", "Patient.contact", "Patient.name.extension", "resolve()", "$this",
     "Patient.name[9]", "%resource", "Patient.name | Patient.id", "Patient.name[0].family"]
)  # fmt: skip
anything = st.sampled_from(
    [
        value(valueString="x"),
        value(valueDate=None),
        value(valueHumanName={"given": [None]}),
        value(_valueCode={"id": 1}),
        value(valueInteger=[[{}]]),
        value(resource={}),
        value(part=[{"name": "name", "valueString": "x"}]),
        value(part=[{"name": "x", "part": [{"name": "y", "part": []}]}]),
    ]
)
operations = st.builds(
    lambda type_, path, given, name, number: operation(
        type_, path, given, name=name, index=number, source=number, destination=0
    ),
    st.sampled_from(["add", "insert", "delete", "replace", "move"]),
    paths,
    anything,
    st.sampled_from(["name", "given", "id", "extension", "deceased", "contact", "contained", ""]),
    st.integers(-1, 3),
)


@given(st.lists(operations, max_size=4))
def test_no_patch_does_anything_but_apply_or_be_refused(changes: list[Any]) -> None:
    with suppress(Invalid, PatchFailed):
        applied(*changes)
