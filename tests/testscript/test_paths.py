from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.conformance.content import Content, Held
from fhir_server.conformance.paths import CannotEvaluate, by_expression, by_path, condition

RESOURCE = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'},
    "code": {"coding": [{"code": "a"}, {"code": "b"}]},
    "valueQuantity": {"value": Decimal("1.5"), "unit": "kg"},
}
OBSERVATION = Held("it", RESOURCE)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("Observation/status", ["final"]),
        ("/Observation/status/@value", ["final"]),
        ("fhir:Observation/fhir:status/@value", ["final"]),
        ("f:Observation/f:code/f:coding/f:code/@value", ["a", "b"]),
        ("//code/coding[2]/code", ["b"]),
        ("count(//coding)", ["2"]),
        ("Observation/status/@value = 'final'", ["true"]),
        ("Observation/valueQuantity/value", ["1.5"]),
        ("Observation/issued", []),
        ("$.status", ["final"]),
        ("$.code.coding[*].code", ["a", "b"]),
        ("$.code.coding[?(@.code == 'b')].code", ["b"]),
        ("$.none", []),
        ("status", ["final"]),
        ("code.coding[1].code", ["b"]),
        ("valueQuantity.value", ["1.5"]),
    ],
)
def test_a_path_is_jsonpath_or_a_dotted_name_or_xpath(path: str, found: list[str]) -> None:
    assert by_path(path, OBSERVATION) == found


def test_xml_that_came_over_the_wire_is_read_as_it_is() -> None:
    body = b'<Patient xmlns="http://hl7.org/fhir"><id value="x"/></Patient>'
    assert by_path("Patient/id", Content("it", body)) == ["x"]
    assert by_path("$.id", Content("it", body)) == ["x"]


@pytest.mark.parametrize(
    "path", ["doc('/etc/passwd')", "unparsed-text('/etc/passwd')", "x:y/z", "a/["]
)
def test_a_path_that_is_wrong_or_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(CannotEvaluate):
        by_path(path, OBSERVATION)


def test_entities_are_not_followed() -> None:
    body = b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a xmlns="http://hl7.org/fhir">&e;</a>'
    assert not any(by_path("string(/a)", Content("it", body)))


def test_conditions() -> None:
    assert condition("status = 'final'", OBSERVATION) is True
    assert condition("issued.exists()", OBSERVATION) is False
    assert condition("issued", OBSERVATION) is None
    with pytest.raises(CannotEvaluate):
        condition("code.coding", OBSERVATION)
    assert by_expression("value.value", OBSERVATION) == ["1.5"]


@given(st.text(alphabet="$./@[]()*'abc:?=!1 ", min_size=1, max_size=15))
def test_any_text_as_a_path_gives_values_or_an_error(path: str) -> None:
    try:
        found = by_path(path, OBSERVATION)
    except CannotEvaluate:
        return
    assert all(isinstance(each, str) for each in found)
