"""Properties that hold for any resource, tried on random ones."""

import copy
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck

CHECK = StructureCheck(definitions())

VALID: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "example",
    "meta": {"profile": ["http://example.org/profile"]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "contained": [{"resourceType": "Patient", "id": "p", "name": [{"given": ["Eva"]}]}],
    "extension": [{"url": "http://example.org/e", "valueReference": {"reference": "Basic/1"}}],
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "subject": {"reference": "#p"},
    "effectiveDateTime": "2024-02-29T13:45:00Z",
    "_effectiveDateTime": {"id": "e"},
    "valueQuantity": {"value": Decimal("1.00"), "unit": "/min"},
    "component": [{"code": {"text": "x"}, "referenceRange": [{"low": {"value": 1}}]}],
}

json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.text()
    | st.sampled_from(["#p", "Patient/1", "2024-02-30", "urn:uuid:x", "final"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text()
            | st.sampled_from(["resourceType", "id", "extension", "_id", "coding", "reference"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a resource."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    found = []
    for key in keys:
        found += [(value, key), *places(value[key])]
    return found


def objects(value: Any) -> list[dict[str, Any]]:
    inner = [container[key] for container, key in places(value)]
    return [value, *(each for each in inner if isinstance(each, dict))]


PLACES = len(places(VALID))
OBJECTS = len(objects(VALID))


def test_the_unmutated_resource_is_valid() -> None:
    assert CHECK.check(VALID).issues == ()


@given(st.integers(0, PLACES - 1), json_like)
@settings(max_examples=300, deadline=None)
def test_no_replaced_value_crashes_the_check(place: int, value: Any) -> None:
    resource = copy.deepcopy(VALID)
    container, key = places(resource)[place]
    container[key] = value
    before = copy.deepcopy(resource)
    for issue in CHECK.check(resource).issues:
        assert issue.diagnostics
        assert len(issue.diagnostics) < 2_000
    # NaN is not equal to itself, so the texts are compared.
    assert repr(resource) == repr(before)


@given(json_like)
@settings(max_examples=200, deadline=None)
def test_nothing_but_a_resource_is_valid(value: Any) -> None:
    checked = CHECK.check(value)
    assert checked.issues or value["resourceType"] in definitions().resource_types


@given(st.integers(0, PLACES - 1))
@settings(deadline=None)
def test_a_null_is_refused_wherever_it_stands(place: int) -> None:
    resource = copy.deepcopy(VALID)
    container, key = places(resource)[place]
    container[key] = None
    assert CHECK.check(resource).issues


@given(st.integers(0, OBJECTS - 1), st.text(min_size=1), json_like)
@settings(max_examples=200, deadline=None)
def test_an_unknown_element_is_refused_wherever_it_stands(
    place: int, name: str, value: Any
) -> None:
    resource = copy.deepcopy(VALID)
    objects(resource)[place][f"x{name}"] = value
    issues = CHECK.check(resource).issues
    assert [issue.code for issue in issues] == ["structure"]
    assert "Unknown element" in issues[0].diagnostics
