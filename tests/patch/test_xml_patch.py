"""XML Patch on resources (RFC 5261)."""

import copy
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.outcome import Invalid
from fhir_server.patch import PatchFailed
from fhir_server.patch.xml_patch import read_xml_patch

DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p></p><b>x</b>y &#169;</div>'
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "text": {"status": "generated", "div": DIV},
    "name": [{"family": "Chalmers", "given": ["Peter", "James"]}, {"text": "Jim"}],
    "birthDate": "1974-12-25",
}


def diff(*operations: str, declared: str = 'xmlns="http://hl7.org/fhir"') -> bytes:
    return f"<diff {declared}>{''.join(operations)}</diff>".encode()


def applied(*operations: str, resource: dict[str, Any] = PATIENT, **declared: str) -> Any:
    return read_xml_patch(diff(*operations, **declared))(copy.deepcopy(resource))


@pytest.mark.parametrize(
    ("operation", "name", "value"),
    [
        ('<replace sel="f:Patient/f:birthDate/@value">1980</replace>', "birthDate", "1980"),
        ('<replace sel="/f:Patient/f:birthDate/@value">1980</replace>', "birthDate", "1980"),
        ('<replace sel="Patient/birthDate"><birthDate value="1"/></replace>', "birthDate", "1"),
        ('<remove sel="f:Patient/f:birthDate"/>', "birthDate", None),
        ('<remove sel="f:Patient/f:birthDate/@value"/>', "birthDate", None),
        (
            '<add sel="f:Patient/f:birthDate" pos="before"><gender value="male"/></add>',
            "gender",
            "male",
        ),
        (
            '<add sel="f:Patient/f:birthDate" pos="after"><deceasedBoolean value="true"/></add>',
            "deceasedBoolean",
            True,
        ),
        (
            '<add sel="f:Patient"><multipleBirthInteger value="2"/></add>',
            "multipleBirthInteger",
            2,
        ),
        (
            '<add sel="f:Patient/f:birthDate" type="@id">x</add>',
            "_birthDate",
            {"id": "x"},
        ),
        (
            "<remove sel=\"f:Patient/f:name[f:text/@value='Jim']\"/>",
            "name",
            [{"family": "Chalmers", "given": ["Peter", "James"]}],
        ),
        (
            '<remove sel="f:Patient/f:name[1]/f:given[2]"/>',
            "name",
            [{"family": "Chalmers", "given": ["Peter"]}, {"text": "Jim"}],
        ),
        (
            '<remove sel="f:Patient/f:name[2]/f:text"/>',
            "name",
            [{"family": "Chalmers", "given": ["Peter", "James"]}],
        ),
        (
            '<add sel="f:Patient/f:name[1]/f:given[1]" pos="before"><given value="X"/></add>',
            "name",
            [{"family": "Chalmers", "given": ["X", "Peter", "James"]}, {"text": "Jim"}],
        ),
    ],
)
def test_an_operation_changes_what_it_names_and_nothing_else(
    operation: str, name: str, value: Any
) -> None:
    expected = {**PATIENT, name: value}
    if value is None:
        del expected[name]
    assert applied(operation) == expected


def test_narratives_are_changed_like_anything_else() -> None:
    result = applied('<replace sel="f:Patient/f:text/h:div/h:b/text()">z</replace>')
    assert "<b>z</b>y ©" in result["text"]["div"]


def test_an_untouched_narrative_keeps_every_character() -> None:
    result = applied('<remove sel="f:Patient/f:birthDate"/>')
    assert result["text"]["div"] == DIV


def test_names_without_prefix_are_in_the_default_namespace_of_the_patch() -> None:
    operation = '<f:remove sel="Patient/birthDate"/>'
    with pytest.raises(PatchFailed):
        applied(operation, declared='xmlns:f="http://hl7.org/fhir"')
    prefixed = '<remove sel="q:Patient/q:birthDate"/>'
    assert "birthDate" not in applied(prefixed, declared='xmlns:q="http://hl7.org/fhir"')


def test_a_patch_can_be_applied_again() -> None:
    operation = '<add sel="f:Patient"><multipleBirthInteger value="2"/></add>'
    patch = read_xml_patch(diff(operation))
    assert patch(copy.deepcopy(PATIENT)) == patch(copy.deepcopy(PATIENT))


@pytest.mark.parametrize(
    "operation",
    [
        '<remove sel="f:Patient/f:gender"/>',
        '<remove sel="f:Patient/f:name"/>',
        '<remove sel="f:Patient"/>',
        '<remove sel="f:Patient/f:birthDate" ws="before"/>',
        '<replace sel="f:Patient/f:birthDate"/>',
        '<replace sel="f:Patient/f:birthDate">text</replace>',
        '<replace sel="f:Patient/f:birthDate"><!-- x --></replace>',
        '<replace sel="f:Patient/f:birthDate/@value"><x/></replace>',
        '<add sel="f:Patient/f:birthDate" type="@value">1980</add>',
        '<add sel="f:Patient/f:birthDate" type="@q:x">1980</add>',
        '<add sel="f:Patient/f:birthDate" type="@&#60;">1980</add>',
        '<add sel="f:Patient/f:birthDate" type="namespace:::">1980</add>',
        '<add sel="f:Patient/f:birthDate/@value">1980</add>',
        '<add sel="f:Patient" pos="before"><gender value="male"/></add>',
    ],
)
def test_what_cannot_be_applied_fails_with_the_index_of_its_operation(operation: str) -> None:
    fine = '<replace sel="f:Patient/f:birthDate/@value">1980</replace>'
    with pytest.raises(PatchFailed) as caught:
        applied(fine, operation)
    assert caught.value.issues[0].diagnostics.startswith("Operation 1: ")


@pytest.mark.parametrize(
    "operation",
    [
        '<add sel="f:Patient"><gender value="male"/></add>',
        '<add sel="f:Patient"><gender xmlns="urn:x" value="male"/></add>',
        '<add sel="f:Patient">text</add>',
        '<add sel="f:Patient"><gender value="male"/> <x/>text</add>',
    ],
)
def test_what_would_be_no_resource_in_xml_fails(operation: str) -> None:
    with pytest.raises(PatchFailed) as caught:
        applied(operation)
    assert caught.value.status == 422


def test_content_keeps_its_place_among_text() -> None:
    html = '<b xmlns="http://www.w3.org/1999/xhtml">1</b>2'
    place = 'sel="f:Patient/f:text/h:div/h:b"'
    for where, expected in (
        ('pos="before"', "<p/><b>1</b>2<b>x</b>y ©"),
        ('pos="after"', "<p/><b>x</b><b>1</b>2y ©"),
        ('pos="prepend"', "<p/><b><b>1</b>2x</b>y ©"),
        ("", "<p/><b>x<b>1</b>2</b>y ©"),
    ):
        result = applied(f"<add {place} {where}>{html}</add>")
        assert result["text"]["div"].partition(">")[2] == f"{expected}</div>"


def test_thousands_of_nodes_take_no_time() -> None:
    many = "<extension/>" * 50_000 + '<multipleBirthInteger value="2"/>'
    started = time.process_time()
    assert applied(f'<add sel="f:Patient">{many}</add>')["multipleBirthInteger"] == 2
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<diff>",
        b"<diff/>",
        b"<other><remove sel='a'/></other>",
        b"<!DOCTYPE diff [<!ENTITY x 'y'>]><diff><add sel='f:Patient'>&x;</add></diff>",
        b"<!DOCTYPE diff SYSTEM 'file:///etc/passwd'><diff><remove sel='a'/></diff>",
        b"<diff><add sel='f:Patient'>&x;</add></diff>",
        diff("<nonsense sel='a'/>"),
        diff("<remove/>"),
        diff("<remove sel=''/>"),
        diff("<remove sel='//f:name'/>"),
        diff("<remove sel='f:Patient/..'/>"),
        diff("<remove sel='f:Patient[count(//*) = 1]'/>"),
        diff("<remove sel=\"document('file:///etc/passwd')\"/>"),
        diff("<remove sel='q:Patient'/>"),
        diff("<remove sel='f:Patient[@q:a=\"1\"]'/>"),
        diff("<remove sel='f:Patient' pos='before'/>"),
        diff("<add sel='f:Patient' pos='nowhere'/>"),
        diff("<add sel='f:Patient' type='x'/>"),
        diff("<add sel='f:Patient' type='@a'><b/></add>"),
        diff("<remove sel='" + "f:a/" * 1000 + "f:b'/>"),
    ],
)
def test_what_is_no_patch_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read_xml_patch(data)
    assert caught.value.status == 400


def test_entities_do_not_grow() -> None:
    levels = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
    bomb = f"<!DOCTYPE diff [<!ENTITY l0 'x'>{levels}]><diff><add sel='f:a' x='&l11;'/></diff>"
    with pytest.raises(Invalid):
        read_xml_patch(bomb.encode())


steps = st.sampled_from(
    ["f:Patient", "f:name", "f:name[1]", "f:text", "h:div", "h:b", "@value", "text()", "comment()",
     "*", "*[1]", "f:birthDate", "@id", "f:given[2]", "..", "[", "f:*", ""]
)  # fmt: skip
selectors = st.lists(steps, max_size=5).map("/".join)
content = st.sampled_from(
    ["", "x", " ", '<gender value="male"/>', "<!-- c -->", "<b/><c>d</c>e", "<?p q?>", "<a:b/>"]
)
operations = st.builds(
    lambda name, sel, more, inner: f'<{name} sel="{sel}"{more}>{inner}</{name}>',
    st.sampled_from(["add", "remove", "replace", "other"]),
    selectors,
    st.sampled_from(["", ' pos="before"', ' pos="after"', ' type="@id"', ' ws="both"'])
    | st.sampled_from([' pos="prepend"', ' type="namespace::q"', ' type="@xml:lang"']),
    content,
)


@given(st.lists(operations, max_size=4))
def test_no_patch_does_anything_but_apply_or_be_refused(patch: list[str]) -> None:
    with suppress(Invalid, PatchFailed):
        applied(*patch)
