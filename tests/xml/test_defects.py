"""Every defect of a document is refused, with line and element."""

import time
import tracemalloc

import pytest

from fhir_server.outcome import Invalid
from fhir_server.xml import decode_xml
from tests.xml.resources import DIV

F = 'xmlns="http://hl7.org/fhir"'
H = "http://www.w3.org/1999/xhtml"


def refused(body: str | bytes) -> Invalid:
    with pytest.raises(Invalid) as caught:
        decode_xml(body.encode() if isinstance(body, str) else body)
    return caught.value


# (document, what the diagnostics tell, where)
DEFECTS = [
    ("", "no element found", ""),
    ("hello", "not well-formed", ""),
    ("{}", "not well-formed", ""),
    (f"<Patient {F}>", "Line 1.*no element found", "Patient"),
    (f"<Patient {F}>\n<a></b></Patient>", "Line 2.*mismatched tag", "Patient"),
    (f"<Patient {F}/><Patient {F}/>", "junk after document element", ""),
    (f"<Patient {F}><id value='a' value='b'/></Patient>", "duplicate attribute", "Patient"),
    (f"<Patient {F}><a:id value='a'/></Patient>", "unbound prefix", "Patient"),
    (f"<Patient {F}>&nbsp;</Patient>", "undefined entity", "Patient"),
    (f"<Patient {F}><id value='&a;'/></Patient>", "undefined entity", "Patient"),
    (f"<Patient {F}><id value='\x01'/></Patient>", "not well-formed", "Patient"),
    (f"<Patient {F}><id value='&#0;'/></Patient>", "invalid character number", "Patient"),
    ("<Patient/>", "<Patient> in the namespace \"http://hl7.org/fhir\", found no namespace", ""),
    ('<Patient xmlns="http://hl7.org/fhr"/>', 'found the namespace "http://hl7.org/fhr"', ""),
    (f"<Patient {F}><active xmlns='' value='true'/></Patient>", "found no namespace", "Patient"),
    (f"<Patient {F}>\n<p xmlns='{H}'/></Patient>", "Line 2: .*<p>.* outside a nar", "Patient"),
    (f"<Patient {F}><text><div/></text></Patient>", f'"{H}"', "Patient.text"),
    (f"<Patient {F}>\n\n hey </Patient>", 'Line 3: expected no text, found "hey"', "Patient"),
    (f"<Patient {F}><active>true</active></Patient>", "found \"true\"", "Patient.active"),
    (f"<Patient {F}>\u00a0</Patient>", "expected no text", "Patient"),
    (f"<Patient {F}><![CDATA[x]]></Patient>", "expected no text", "Patient"),
    (
        f"<Patient {F}><name/><name><given value='a'/>\n<given value='b'>x</given>"
        "</name></Patient>",
        "Line 2",
        "Patient.name[1].given[1]",
    ),
    (
        f"<Patient {F}><birthDate value='2000'/>\n<active value='true'/></Patient>",
        "Line 2: <active> has to stand before <birthDate>",
        "Patient.active",
    ),
    (
        f"<Patient {F}><name/><active value='true'/><name/></Patient>",
        "<active> has to stand before <name>",
        "Patient.active",
    ),
    (
        f"<Patient {F}><gender value='male'/><gender value='female'/></Patient>",
        "<gender> may stand only once",
        "Patient.gender",
    ),
    (
        f"<Patient {F}><deceasedBoolean value='true'/><deceasedDateTime value='2000'/>"
        "<deceasedDateTime value='2001'/></Patient>",
        "<deceasedDateTime> may stand only once",
        "Patient.deceased",
    ),
    (f"<Patient {F} id='a'/>", "the attribute id .* an element", "Patient"),
    (f"<Patient {F} xml:lang='en'/>", "the attribute lang", "Patient"),
    (
        f"<Patient {F} xmlns:xsi='urn:x' xsi:schemaLocation='http://x'/>",
        "the attribute schemaLocation",
        "Patient",
    ),
    (f"<Patient {F}><name value='x'/></Patient>", "the attribute value", "Patient.name[0]"),
    (f"<Patient {F}><name url='x'/></Patient>", "the attribute url", "Patient.name[0]"),
    (f"<Patient {F}><active vale='true'/></Patient>", "the attribute vale", "Patient.active"),
    (f"<Patient {F}><contained id='a'><Basic/></contained></Patient>",
     "attribute id", "Patient.contained[0]"),
    (f"<Patient {F}><contained/></Patient>", "expected a resource", "Patient.contained[0]"),
    (
        f"<Bundle {F}><entry><resource><Basic/>\n<Basic/></resource></entry></Bundle>",
        "Line 2: expected one resource",
        "Bundle.entry[0].resource",
    ),
    (f"<Patient {F}><name><id value='a'/></name></Patient>",
     "<id> is not allowed", "Patient.name[0]"),
    (f"<Patient {F}><extension><url value='a'/></extension></Patient>",
     "<url>", "Patient.extension[0]"),
    (f"<Patient {F}><_birthDate><extension url='u'/></_birthDate></Patient>",
     "<_birthDate>", "Patient"),
    (f"<Patient {F}><resourceType value='Basic'/></Patient>", "<resourceType>", "Patient"),
    (
        f"<Patient {F}><birthDate value='2000'><extension url='u'/><extension url='u'>x</extension>"
        "</birthDate></Patient>",
        "expected no text",
        "Patient.birthDate.extension[1]",
    ),
    (f"<Patient {F}><text>{DIV}><b></div></text></Patient>", "mismatched tag", "Patient.text.div"),
    (f"<Patient {F}><text>{DIV}/>{DIV}/></text></Patient>", "only once", "Patient.text.div"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "told", "where"), DEFECTS)
def test_a_defect_is_told_with_line_and_place(body: str, told: str, where: str) -> None:
    refusal = refused(body)
    assert refusal.status == 400
    issue = refusal.issues[-1]
    assert issue.diagnostics.startswith("Line ")
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(issue.diagnostics)
    assert issue.expression == where


def test_all_defects_are_told_at_once_up_to_a_limit() -> None:
    body = f"<Patient {F}>\n" + "<name x='1'/>\n" * 3 + "</Patient>"
    assert [issue.expression for issue in refused(body).issues] == [
        "Patient.name[0]",
        "Patient.name[1]",
        "Patient.name[2]",
    ]
    assert len(refused(f"<Patient {F}>" + "<name x='1'/>" * 1000).issues) == 20


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16", "x-unknown"])
def test_another_encoding_is_refused(encoding: str) -> None:
    body = f'<?xml version="1.0" encoding="{encoding}"?><Patient {F}/>'
    assert "UTF-8" in refused(body).issues[0].diagnostics


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_bytes_that_are_not_utf_8_are_refused(encoding: str) -> None:
    text = f"<Patient {F}><name><text value='\u00e9'/></name></Patient>"
    told = refused(text.encode(encoding)).issues[0].diagnostics
    assert "UTF-8" in told or "invalid token" in told


BOMB = "<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {after} '" + f"&{before};" * 10 + "'>"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
TRICKS = [
    f"<!DOCTYPE Patient><Patient {F}/>",
    f"<!DOCTYPE Patient [{BOMB}]><Patient {F}><id value='&i;'/></Patient>",
    f"<!DOCTYPE Patient [<!ENTITY x '{'a' * 1000}'>]><Patient {F}>{'&x;' * 1000}</Patient>",
    f"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><Patient {F}>&x;</Patient>",
    f"<!DOCTYPE a SYSTEM 'http://localhost:1/x.dtd'><Patient {F}/>",
    f"<!DOCTYPE a PUBLIC '-//x' 'http://localhost:1/x.dtd'><Patient {F}/>",
    f"<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://localhost:1/x'> %p;]><Patient {F}/>",
    f"<!DOCTYPE a [<!ENTITY % p '<!ENTITY x \"y\">'> %p;]><Patient {F}>&x;</Patient>",
    f"<!DOCTYPE a [<!ATTLIST Patient id CDATA 'b'>]><Patient {F}/>",
]


@pytest.mark.parametrize("body", TRICKS)
def test_document_types_and_entities_are_refused_unread(body: str) -> None:
    started = time.process_time()
    refusal = refused(body)
    assert time.process_time() - started < 0.5
    assert [issue.code for issue in refusal.issues] == ["security"]


def test_inclusions_are_not_followed() -> None:
    body = (
        f"<Patient {F} xmlns:xi='http://www.w3.org/2001/XInclude'>"
        "<xi:include href='file:///etc/passwd' parse='text'/></Patient>"
    )
    assert "XInclude" in refused(body).issues[0].diagnostics


MEGABYTES = 50 * 1024 * 1024
# What is before, what is repeated up to fifty megabytes, and what is after it.
BIG = {
    "text": (b"<Patient %s>", b"a", b"</Patient>"),
    "white space and text": (b"<Patient %s>", b" ", b"a</Patient>"),
    "value": (b'<Patient %s><id value="', b"a", b'"/></Patient>'),
    "name": (b"<Patient %s><", b"a", b"/></Patient>"),
    "narrative": (b"<Patient %s><text><div xmlns='" + H.encode() + b"'>", b"a", b""),
    "narrative of lines": (
        b"<Patient %s><text><div xmlns='" + H.encode() + b"'>",
        b"<br/>\n",
        b"</div></text></Patient>",
    ),
    "comment": (b"<Patient %s><!--", b"a", b"--></Patient>"),
    "elements": (b"<Patient %s>", b"<name/>", b"</Patient>"),
}


@pytest.mark.parametrize("kind", BIG)
def test_fifty_megabytes_are_refused_quickly_and_with_flat_memory(kind: str) -> None:
    before, repeated, after = BIG[kind]
    before = before.replace(b"%s", F.encode())
    body = before + repeated * (MEGABYTES // len(repeated)) + after
    tracemalloc.start()
    started = time.process_time()
    refusal = refused(body)
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.status == 413
    assert refusal.issues[-1].code in ("too-long", "too-costly")
    assert seconds < 5
    assert peak < 1024 * 1024


@pytest.mark.parametrize(
    ("start", "inner", "end"),
    [
        (f"<Patient {F}>", "<extension url='u'>", ""),
        (f"<Patient {F}>", "<unknown>", ""),
        (f"<Patient {F}><text>{DIV}>", "<b>", ""),
        (f"<Parameters {F}><parameter>", "<part>", ""),
    ],
)
def test_deep_nesting_is_refused(start: str, inner: str, end: str) -> None:
    refusal = refused(start + inner * 100_000 + end)
    assert "deeper than 200" in refusal.issues[-1].diagnostics


def test_nesting_within_the_limit_is_taken() -> None:
    body = f"<Patient {F}>" + "<extension url='u'>" * 190 + "</extension>" * 190 + "</Patient>"
    assert decode_xml(body.encode())["extension"]


def test_many_attributes_and_namespaces_are_refused_quickly() -> None:
    attributes = " ".join(f"a{number}='x'" for number in range(100_000))
    started = time.process_time()
    assert len(refused(f"<Patient {F} {attributes}/>").issues) == 20
    declarations = " ".join(f"xmlns:a{number}='urn:{number}'" for number in range(20_000))
    decode_xml(f"<Patient {F} {declarations}/>".encode())
    assert time.process_time() - started < 5
