"""Writing XML (R4 xml.html)."""

from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from lxml import etree

from fhir_server.fhir_json import decode
from fhir_server.outcome import Invalid
from fhir_server.xml import decode_xml, encode_xml
from tests.xml.resources import ALL, BUNDLE, DIV, OBSERVATION, PATIENT

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def written(resource: dict[str, Any]) -> str:
    return encode_xml(resource).decode().removeprefix(HEAD)


def test_elements_stand_in_the_official_order_whatever_the_order_of_properties() -> None:
    patient = {
        "birthDate": "2000",
        "name": [{"given": ["B", "C"], "family": "A"}],
        "id": "p1",
        "active": False,
        "meta": {"versionId": "1"},
        "resourceType": "Patient",
    }
    assert written(patient) == (
        '<Patient xmlns="http://hl7.org/fhir"><id value="p1"/><meta><versionId value="1"/></meta>'
        '<active value="false"/><name><family value="A"/><given value="B"/><given value="C"/>'
        '</name><birthDate value="2000"/></Patient>'
    )


def test_ids_and_extension_urls_are_attributes() -> None:
    patient = {
        "resourceType": "Patient",
        "extension": [{"id": "a<", "url": "http://x?a&b", "valueUrl": "http://y"}],
        "name": [{"id": "n", "text": "t"}],
        "_gender": {"id": "g", "extension": [{"url": "u", "valueCode": "c"}]},
        "gender": "male",
    }
    assert written(patient) == (
        '<Patient xmlns="http://hl7.org/fhir"><extension id="a&lt;" url="http://x?a&amp;b">'
        '<valueUrl value="http://y"/></extension><name id="n"><text value="t"/></name>'
        '<gender id="g" value="male"><extension url="u"><valueCode value="c"/></extension>'
        "</gender></Patient>"
    )


def test_primitives_without_a_value_have_their_extensions() -> None:
    extension = {"extension": [{"url": "u", "valueCode": "c"}]}
    name = {"given": ["A", None], "_given": [None, extension], "_family": extension}
    inside = '<extension url="u"><valueCode value="c"/></extension>'
    assert written({"resourceType": "Patient", "name": [name]}) == (
        f'<Patient xmlns="http://hl7.org/fhir"><name><family>{inside}</family><given value="A"/>'
        f"<given>{inside}</given></name></Patient>"
    )


def test_resources_stand_in_an_element_of_their_type() -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "a", "resource": {"resourceType": "Basic", "id": "b"}}],
    }
    assert written(parameters) == (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="a"/><resource><Basic>'
        '<id value="b"/></Basic></resource></parameter></Parameters>'
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Decimal("1.00"), "1.00"),
        (Decimal("-0.0"), "-0.0"),
        (Decimal("1E+3"), "1E+3"),
        (12345678901234567890123, "12345678901234567890123"),
        (Decimal("0.1234567890123456789012345678901234567890"),) * 2,
    ],
)
def test_decimals_are_written_with_their_digits(number: Decimal | int, text: object) -> None:
    quantity = {"resourceType": "Observation", "valueQuantity": {"value": number}}
    assert f'<value value="{text}"/>' in written(quantity)


def test_white_space_that_a_parser_would_change_is_escaped() -> None:
    basic = {"resourceType": "Patient", "name": [{"text": " a\tb\nc\rd \u0085"}]}
    assert '<text value=" a&#9;b&#10;c&#13;d \u0085"/>' in written(basic)
    assert decode_xml(encode_xml(basic)) == basic


def test_a_narrative_is_written_as_it_is() -> None:
    assert PATIENT["text"]["div"] in written(PATIENT)


@pytest.mark.parametrize(
    "div",
    [
        f"{DIV}>",
        f"{DIV}/><script/>",
        f"{DIV}/></text><active value='true'/><text>{DIV}/>",
        "<div>no namespace</div>",
        '<p xmlns="http://www.w3.org/1999/xhtml"/>',
        f"<?xml version='1.0'?>{DIV}/>",
        f"<!DOCTYPE div [<!ENTITY a 'b'>]>{DIV}>&a;</div>",
        f"{DIV}>&nbsp;</div>",
        "text",
        5,
    ],
)
def test_what_is_not_one_div_never_gets_into_a_document(div: object) -> None:
    resource = {"resourceType": "Patient", "text": {"status": "generated", "div": div}}
    with pytest.raises(Invalid):
        encode_xml(resource)


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_a_character_that_xml_lacks_is_told_and_not_replaced(character: str) -> None:
    with pytest.raises(Invalid, match=rf"U\+{ord(character):04X}.*JSON") as caught:
        encode_xml({"resourceType": "Patient", "name": [{"text": f"a{character}"}]})
    assert caught.value.status == 406


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": "Nothing"},
        {"resourceType": ["Patient"]},
        {"resourceType": "DomainResource"},
        {"resourceType": "Patient", "nam": "x"},
        {"resourceType": "Patient", "name": [{"famly": "x"}]},
        {"resourceType": "Patient", "active": {}},
        {"resourceType": "Bundle", "entry": [{"resource": {"id": "a"}}]},
    ],
)
def test_what_is_no_resource_is_refused(resource: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        encode_xml(resource)


def test_pretty_is_indented_and_means_the_same() -> None:
    pretty = encode_xml(BUNDLE, pretty=True)
    assert pretty.startswith(
        f'{HEAD}\n<Bundle xmlns="http://hl7.org/fhir">\n  <type value="transaction"/>\n'
        "  <entry>\n    <fullUrl".encode()
    )
    assert pretty.endswith(b"\n</Bundle>\n")
    assert decode_xml(pretty) == BUNDLE


@pytest.mark.parametrize("resource", ALL, ids=lambda each: each["resourceType"])
def test_another_parser_reads_what_is_written(resource: dict[str, Any]) -> None:
    root = etree.fromstring(encode_xml(resource))
    assert root.tag == f"{{http://hl7.org/fhir}}{resource['resourceType']}"
    namespaces = {element.tag.partition("}")[0] for element in root.iter(etree.Element)}
    assert namespaces <= {"{http://hl7.org/fhir", "{http://www.w3.org/1999/xhtml"}


def test_another_model_reads_the_same_resource() -> None:
    model = get_fhir_model_class("Observation").model_validate_xml(encode_xml(OBSERVATION))
    assert decode(model.model_dump_json().encode()) == OBSERVATION
    # Annotated as str, it gives bytes.
    theirs: Any = model.model_dump_xml()
    assert decode_xml(theirs) == OBSERVATION
