"""What an operation is called with, whatever is sent."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.interactions.request import Request
from fhir_server.operations.parameters import Parameters
from fhir_server.operations.reading import read_parameters
from fhir_server.outcome import Invalid
from fhir_server.spec import definitions
from fhir_server.spec.model import OperationParameter
from fhir_server.validation.primitives import CHECKS
from fhir_server.validation.structure import StructureCheck
from tests.operations.calling import Json, facts, parameters

_STRUCTURE = StructureCheck(definitions())
_IN = {
    name: tuple(each for each in facts(name).parameters if each.use == "in")
    for name in ("ValueSet-expand", "ConceptMap-translate", "Patient-everything", "Resource-meta")
}
EVERY = {name: item for taken in _IN.values() for item in taken for name in [item.name]}

PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "canonical": st.sampled_from(["http://a|1", "http://b"]),
    "code": st.sampled_from(["a", "b c"]),
    "date": st.sampled_from(["2020", "2020-02", "2020-02-29"]),
    "dateTime": st.sampled_from(["2020", "2020-02-29T10:00:00Z"]),
    "instant": st.just("2020-02-29T10:00:00Z"),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "string": st.sampled_from(["x", "a,b", "é 1+1=2&", "true"]),
    "uri": st.sampled_from(["http://a", "urn:x:y", "ValueSet/a"]),
}


def read(name: str, query: list[tuple[str, str]], body: Any = None, **how: bool) -> Parameters:
    request = Request("POST", query=query, resource=body)
    return read_parameters(_STRUCTURE, definitions(), "code", _IN[name], request, **how)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _item(definition: OperationParameter, value: Any) -> Json:
    assert definition.type is not None
    key = f"value{definition.type[0].upper()}{definition.type[1:]}"
    return {"name": definition.name, key: value}


@st.composite
def _calls(draw: st.DrawFn) -> tuple[str, list[tuple[OperationParameter, Any]]]:
    """An operation, and values of its primitive parameters, as often as each may be given."""
    name = draw(st.sampled_from(["ValueSet-expand", "ConceptMap-translate", "Patient-everything"]))
    given_: list[tuple[OperationParameter, Any]] = []
    for item in _IN[name]:
        if item.type in PRIMITIVES:
            most = 1 if item.max == 1 else 3
            values = draw(st.lists(PRIMITIVES[item.type], max_size=most))
            given_ += [(item, value) for value in values]
    return name, given_


@given(_calls())
def test_a_url_and_parameters_mean_the_same(
    call: tuple[str, list[tuple[OperationParameter, Any]]],
) -> None:
    name, given_ = call
    query = [(item.name, _text(value)) for item, value in given_]
    body = parameters(*(_item(item, value) for item, value in given_))
    if not given_:
        del body["parameter"]
    in_url, in_body = read(name, query), read(name, [], body)
    expected: dict[str, list[Any]] = {}
    for item, value in given_:
        expected.setdefault(item.name, []).append(value)
    assert in_url.values == in_body.values == expected
    assert read(name, in_body.in_url()).values == expected


_NAMES = st.one_of(st.sampled_from(sorted(EVERY)), st.text(max_size=5))
_TEXTS = st.one_of(st.sampled_from(["true", "1", "-1", "2020", "http://a"]), st.text(max_size=12))


@given(st.sampled_from(sorted(_IN)), st.lists(st.tuples(_NAMES, _TEXTS), max_size=6))
def test_any_url_is_understood_or_refused(name: str, query: list[tuple[str, str]]) -> None:
    with suppress(Invalid):
        found = read(name, query)
        for key, values in found.values.items():
            definition = next(item for item in _IN[name] if item.name == key)
            assert definition.type in CHECKS
            assert definition.max is None or len(values) <= definition.max
        given_ = {key for key, _ in query} - {"_format", "_pretty"}
        assert given_ == set(found.values)


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    ["name", "part", "resource", "resourceType", "valueUri", "valueBoolean",
                     "valueString", "valueCoding", "valueCodeableConcept", "coding"]
                ),
                st.text(max_size=4),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)  # fmt: skip
_ITEMS = st.builds(
    lambda name, more: {**more, "name": name} if isinstance(more, dict) else more, _NAMES, _JSON
)
_BODIES = st.one_of(
    _JSON,
    st.builds(
        lambda items: {"resourceType": "Parameters", "parameter": items},
        st.one_of(_JSON, st.lists(_ITEMS, max_size=4)),
    ),
)


@given(st.sampled_from(sorted(_IN)), _BODIES, st.booleans(), st.booleans())
def test_any_body_is_understood_or_refused(
    name: str, body: Any, searches: bool, unchecked: bool
) -> None:
    with suppress(Invalid):
        found = read(name, [], body, searches=searches, unchecked=unchecked)
        assert set(found.values) <= {item.name for item in _IN[name]}


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"name": "url", "valueBoolean": True}, "expected valueUri, found valueBoolean"),
        ({"name": "url"}, "expected valueUri, found nothing"),
        ({"name": "url", "part": [{"name": "x", "valueCode": "y"}]}, "found part"),
        ({"name": "valueSet", "valueUri": "http://x"}, "takes a ValueSet resource, found none"),
        ({"name": "valueSet", "resource": {"resourceType": "Basic"}}, "found Basic"),
        ({"name": "count", "valueInteger": "1"}, "integer"),
    ],
)
def test_a_value_of_another_type_is_refused(item: Json, told: str) -> None:
    if "resource" in item:
        item = item | {"resource": {"resourceType": "Basic", "code": {"text": "x"}}}
    with pytest.raises(Invalid) as caught:
        read("ValueSet-expand", [], parameters(item))
    assert told in str(caught.value)
    assert "Parameters.parameter[0]" in caught.value.issues[0].expression


def test_a_uri_may_be_sent_as_a_canonical() -> None:
    found = read("ValueSet-expand", [], parameters({"name": "url", "valueCanonical": "http://x"}))
    assert found.text("url") == "http://x"


def test_parts_are_checked_as_parameters_are() -> None:
    part = {"name": "concept", "valueCode": "x"}
    item = {"name": "dependency", "part": [part, {"name": "strange", "valueCode": "y"}]}
    with pytest.raises(Invalid) as caught:
        read("ConceptMap-translate", [], parameters(item))
    first, second = caught.value.issues
    assert first.expression == "Parameters.parameter[0].part[0]"
    assert "expected valueCodeableConcept" in first.diagnostics
    assert '"strange"' in second.diagnostics
