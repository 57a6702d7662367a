"""The language of mapping rules: how it is read, what it gives."""

import contextlib
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.hl7v2 import parse
from fhir_server.mapping.evaluation import compile_each, compile_one, text_of
from fhir_server.mapping.expressions import (
    Comparison,
    Constant,
    ExpressionError,
    Path,
    Valued,
    paths,
    read,
)
from fhir_server.mapping.functions import FUNCTIONS
from fhir_server.mapping.grouping import Grammar, grouped
from fhir_server.mapping.reading import segments_of
from fhir_server.mapping.running import facts_of, readers_of, start
from fhir_server.mapping.scope import Scope
from tests.mapping.messages import mapper, message

TEXT = message(
    "ADT^A01^ADT_A01",
    'PID|1||5^^^B&1.2&ISO^MR~6^^^C||DOE^JOHN||19800101|""',
    "ZPI|1|own^thing",
    "OBX|1|NM|A^A^L||1",
    "OBX|2|NM|B&GDT^B^L||2~3",
)


def scope() -> Scope:
    """The message as one group, at no segment."""
    segments = segments_of(parse(TEXT))
    root, _ = grouped(Grammar("ANY"), segments)
    readers = readers_of(mapper().book(), "Europe/Berlin")
    return Scope(start(facts_of(segments), "ANY", root, readers), root)


def one(expression: str) -> str:
    return text_of(compile_one(expression)(scope()))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("PID-5.1", Path("PID", 5, 0, (1,))),
        ("PID-3[2].4.1", Path("PID", 3, 2, (4, 1))),
        ("OBX-5[*]", Path("OBX", 5, -1)),
        ("PV1", Path("PV1")),
        (".4.2", Path(None, parts=(4, 2))),
        (".", Path(None)),
        ("'it''s'", Constant("it's")),
        ("PV1-45 valued", Valued(Path("PV1", 45))),
        ("OBX-2 = 'NM'", Comparison("=", Path("OBX", 2), Constant("NM"))),
    ],
)
def test_expression_is_read(text: str, node: object) -> None:
    assert read(text) == node


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found the end, expected a value"),
        ("PID-5 =", "found the end, expected a value"),
        ("(PID-5", "found the end, expected ')'"),
        ("PID-5 PID-6", "found 'PID-6', expected an operator or the end"),
        ("pid-5", "unknown"),
        ("coalesce", "expected '('"),
        ("PID-5 and", "expected a value"),
        ("'open", "unknown"),
    ],
)
def test_wrong_expression_is_refused_with_what_was_expected(text: str, told: str) -> None:
    with pytest.raises(ExpressionError, match=told.replace("(", "\\(").replace(")", "\\)")):
        read(text)


@pytest.mark.parametrize("text", ["nothing(PID-5)", "$nothing", "count('x')", "is_number()"])
def test_what_does_not_exist_is_refused_when_it_is_compiled(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_one(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PID-5.1", "DOE"),
        ("PID-5", "DOE"),
        ("PID-3[2].1", "6"),
        ("PID-3.4.2", "1.2"),
        ("PID-99", ""),
        ("ZPI-2.2", "thing"),
        ("coalesce(PID-99, PID-5.2)", "JOHN"),
        ("join(' ', PID-5.2, PID-99, PID-5.1)", "JOHN DOE"),
        ("concat(PID-5.2, PID-99)", ""),
        ("if(PID-99 valued, 'a', 'b')", "b"),
        ("count(PID-3)", "2"),
        ("length(PID-7)", "8"),
        ("upper('a')", "A"),
        ("lower('A')", "a"),
        ("title('BOOKED')", "Booked"),
        ("replace('a-b', '-', '+')", "a+b"),
        ("trim('+1', '+')", "1"),
        ("before('4.0-10', '-')", "4.0"),
        ("after('-4 - -1', '-')", "-1"),
        ("comparator('<=5')", "<="),
        ("whole(ZPI-2)", "own^thing"),
        ("observed('GDT')", "2\n3"),
        ("any(OBX-5)", "1 2 3"),
        ("lines(OBX-5)", "1"),
        ("time(PID-7)", "1980-01-01"),
        ("later('20260101100000+0100', '90', 'min')", "2026-01-01T11:30:00+01:00"),
        ("minutes('3600', 's')", "60"),
        ("coding_system('LN')", "http://loinc.org"),
        ("coding_system('HL70078')", "http://terminology.hl7.org/CodeSystem/v2-0078"),
        ("authority('', '1.2.3', 'ISO')", "urn:oid:1.2.3"),
        ("lookup('AdministrativeSex', 'F')", "female"),
        ("lookup('AdministrativeSex', '?')", ""),
        ("content_type('application', 'pdf')", "application/pdf"),
        ("encoded('48', 'Hex')", "SA=="),
        ("$event", "A01"),
        ("$group", "ANY"),
    ],
)
def test_value_of_an_expression(text: str, expected: str) -> None:
    assert one(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PID", True),
        ("PV1", False),
        ("PID-8 valued", False),
        ("PID-5 valued and not PV1-2 valued", True),
        ("PID-5.1 in ('ROE', 'DOE')", True),
        ("PID-5.1 != 'DOE' or PID-5.2 = 'JOHN'", True),
        ("count(PID-3) > 1", True),
        ("PID-5.1 > 1", False),
        ("matches(PID-7, '[0-9]{8}')", True),
        ("is_number(OBX-5)", True),
        ("is_number('1,5')", False),
        ("made('patient')", False),
        ("key('patient') = ''", True),
    ],
)
def test_condition(text: str, expected: bool) -> None:
    assert bool(compile_one(text)(scope())) is expected


def test_each_repetition_of_a_field() -> None:
    assert [text_of(each) for each in compile_each("PID-3")(scope())] == ["5", "6"]
    assert [text_of(each) for each in compile_each("PID-3.4")(scope())] == ["B", "C"]
    assert [text_of(each) for each in compile_each("all(OBX-3.1.2)")(scope())] == ["GDT"]


def test_null_is_no_value() -> None:
    assert compile_one("PID-8")(scope()) is None


def test_every_function_is_called_by_a_test_here() -> None:
    source = FilePath(__file__).read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"{name}(" not in source] == []


def test_paths_are_all_that_an_expression_reads() -> None:
    found = paths(read("if(ORC-2 valued, authority(ORC-2.2), .3) = OBR-3 or not (PV1 and 'x')"))
    assert {(each.segment, each.field) for each in found} == {
        ("ORC", 2), (None, 0), ("OBR", 3), ("PV1", 0),
    }  # fmt: skip


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        read(text)
