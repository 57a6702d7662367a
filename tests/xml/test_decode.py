"""Reading XML (R4 xml.html)."""

from decimal import Decimal
from typing import Any

import pytest

from fhir_server.fhir_json import decode, encode, encode_sorted
from fhir_server.xml import decode_xml, encode_xml
from tests.xml.resources import ABSENT, ALL, DIV

ID = ' id="i"'


def read(content: str, type_: str = "Patient", declarations: str = "") -> dict[str, Any]:
    body = f'<{type_} xmlns="http://hl7.org/fhir"{declarations}>{content}</{type_}>'
    found = decode_xml(body.encode())
    assert found.pop("resourceType") == type_
    return found


@pytest.mark.parametrize("resource", ALL, ids=lambda each: each["resourceType"])
@pytest.mark.parametrize("pretty", [False, True])
def test_what_was_written_reads_back_identical(resource: dict[str, Any], pretty: bool) -> None:
    from_json = decode(encode(resource))
    back = decode_xml(encode_xml(from_json, pretty=pretty))
    assert encode_sorted(back) == encode_sorted(resource)
    assert _types(back) == _types(from_json)


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _types(item) for name, item in value.items()}
    return [_types(item) for item in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize(
    ("element", "type_", "expected"),
    [
        ("valueBoolean", "true", True),
        ("valueBoolean", " false\n", False),
        ("valueBoolean", "1", "1"),
        ("valueBoolean", "True", "True"),
        ("valueInteger", "-5", -5),
        ("valueInteger", " 7 ", 7),
        ("valueInteger", "+5", "+5"),
        ("valueInteger", "05", "05"),
        ("valueInteger", "5.0", "5.0"),
        ("valueInteger", "\u0665", "\u0665"),
        ("valueInteger", "9" * 5000, "9" * 5000),
        ("valueDecimal", "5", 5),
        ("valueDecimal", "5.00", Decimal("5.00")),
        ("valueDecimal", "\t-1.5e3 ", Decimal("-1.5E+3")),
        ("valueDecimal", ".5", ".5"),
        ("valueDecimal", "NaN", "NaN"),
        ("valueDecimal", "1_0.5", "1_0.5"),
        ("valueDecimal", "1e99999999999999999999", "1e99999999999999999999"),
        ("valueCode", " a ", "a"),
        ("valueCode", "\u00a0a", "\u00a0a"),
        ("valueDate", "2000 ", "2000"),
        ("valueUri", " http://x ", "http://x"),
        ("valueString", " a\tb ", " a b "),
        ("valueString", " a&#9;b&#10; ", " a\tb\n "),
        ("valueString", "", ""),
        ("valueMarkdown", " a ", " a "),
        ("valueBase64Binary", "AA BB", "AA BB"),
        ("valueId", " a", " a"),
    ],
)
def test_values_are_read_by_their_type(element: str, type_: str, expected: object) -> None:
    found = read(f'<extension url="u"><{element} value="{type_}"/></extension>')
    value = found["extension"][0][element]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("given", "values", "siblings"),
    [
        ("A B", ["A", "B"], None),
        ("A -", ["A", None], [None, "-"]),
        ("- A", [None, "A"], ["-", None]),
        ("- -", None, ["-", "-"]),
        ("A+ B", ["A", "B"], ["+", None]),
        ("A B+ -", ["A", "B", None], [None, "+", "-"]),
        ("- - A B+", [None, None, "A", "B"], ["-", "-", None, "+"]),
    ],
)
def test_arrays_of_primitives_are_padded(
    given: str, values: list[str] | None, siblings: list[str] | None
) -> None:
    text = f'<extension url="{ABSENT}"><valueCode value="c"/></extension>'
    beside = {
        "-": {"extension": [{"url": ABSENT, "valueCode": "c"}]},
        "+": {"id": "i"},
        None: None,
    }
    written = "".join(
        f"<given>{text}</given>"
        if each == "-"
        else f'<given{ID if each.endswith("+") else ""} value="{each.rstrip("+")}"/>'
        for each in given.split()
    )
    expected: dict[str, Any] = {}
    if values is not None:
        expected["given"] = values
    if siblings is not None:
        expected["_given"] = [beside[each] for each in siblings]
    assert read(f"<name>{written}</name>") == {"name": [expected]}


def test_an_element_may_have_any_prefix() -> None:
    body = b'<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>'
    assert decode_xml(body) == {"resourceType": "Patient", "active": True}


def test_comments_and_processing_instructions_are_ignored() -> None:
    body = (
        b'<?xml version="1.0"?><?xml-stylesheet href="x"?><!-- a --><Patient '
        b'xmlns="http://hl7.org/fhir"><!-- <active value="false"/> --><?do it?>'
        b'<active value="true"><!-- b --></active></Patient><!-- c -->'
    )
    assert decode_xml(body) == {"resourceType": "Patient", "active": True}


def test_a_byte_order_mark_and_single_quotes_are_fine() -> None:
    body = "\ufeff<?xml version='1.0' encoding='utf-8'?><Basic xmlns='http://hl7.org/fhir'/>"
    assert decode_xml(body.encode()) == {"resourceType": "Basic"}


NARRATIVES = [
    f"{DIV}>a</div>",
    f"{DIV}/>",
    f"{DIV} title='>' />",
    f"{DIV}\n >a<div>b</div ><div/></div  \n>",
    f"{DIV}>&lt;&amp;&#160;<![CDATA[<b>]]><!-- </div> --></div>",
    f"{DIV}>a\r\nb\rc</div>",
    f"{DIV}>\u00e9\U0001f600</div>",
    '<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:b>a</h:b></h:div>',
    f'{DIV} xmlns:h="http://www.w3.org/1999/xhtml"><h:b xml:lang="de">a</h:b></div>',
]


@pytest.mark.parametrize("division", NARRATIVES)
@pytest.mark.parametrize("declarations", ["", ' xmlns:xsi="http://www.w3.org/2001/XMLSchema"'])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_narrative_comes_with_every_character(division: str, declarations: str, bom: str) -> None:
    body = (
        f'{bom}<Patient xmlns="http://hl7.org/fhir"{declarations}><text>'
        f'<status value="generated"/>{division}</text><active value="true"/></Patient>'
    )
    found = decode_xml(body.encode())
    assert found["text"]["div"] == division
    assert found["active"] is True


def test_a_narrative_takes_along_the_namespaces_declared_around_it() -> None:
    content = (
        '<text><status value="generated"/><h:div title="&quot;a&quot;">a &amp; <h:b xml:lang="de"'
        ">b</h:b><h:br/> c<f:x/></h:div></text>"
    )
    declarations = ' xmlns:h="http://www.w3.org/1999/xhtml" xmlns:f="http://hl7.org/fhir"'
    assert read(content, declarations=declarations)["text"]["div"] == (
        f'{DIV} title=\'"a"\'>a &amp; <b xml:lang="de">b</b><br/> c'
        '<x xmlns="http://hl7.org/fhir"/></div>'
    )


def test_contained_resources_and_their_narratives_are_read() -> None:
    text = f'<text><status value="empty"/>{DIV}>x</div></text>'
    inner = f'<Organization><id value="a"/>{text}</Organization>'
    found = read(f"<contained>{inner}</contained><contained><Basic/></contained>")
    assert found["contained"] == [
        {
            "resourceType": "Organization",
            "id": "a",
            "text": {"status": "empty", "div": f"{DIV}>x</div>"},
        },
        {"resourceType": "Basic"},
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('<nam value="x"><a><b/></a></nam>', {"nam": "x"}),
        ("<nam><family value='x'/></nam>", {"nam": {}}),
        ('<name><famly value="x"/></name>', {"name": [{"famly": "x"}]}),
        ('<gender value="male"><x/></gender>', {"gender": "male", "_gender": {"x": {}}}),
        ("<gender/>", {"_gender": {}}),
        ("<name/>", {"name": [{}]}),
        ('<deceased value="true"/>', {"deceased": "true"}),
        ("<contained><Foo><a/></Foo></contained>", {"contained": [{"resourceType": "Foo"}]}),
        (
            '<deceasedBoolean value="true"/><deceasedDateTime value="2000"/>',
            {"deceasedBoolean": True, "deceasedDateTime": "2000"},
        ),
    ],
)
def test_what_the_structure_check_has_to_name_is_passed_on(
    content: str, expected: dict[str, Any]
) -> None:
    assert read(content) == expected


def test_an_unknown_resource_type_is_passed_on() -> None:
    body = b'<Patience xmlns="http://hl7.org/fhir"><active value="true"/></Patience>'
    assert decode_xml(body) == {"resourceType": "Patience"}


def test_a_schema_location_is_passed_over() -> None:
    location = (
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:schemaLocation="http://hl7.org/fhir ../schema/patient.xsd"'
    )
    assert read('<active value="true"/>', declarations=location) == {"active": True}
