"""Every primitive type with values that it takes and values that it refuses."""

from decimal import Decimal
from typing import Any

import pytest

from fhir_server.fhir_json import decode
from fhir_server.validation.found import Walk
from fhir_server.validation.primitives import CHECKS, LONGEST_STRING

ALL = [
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id",
    "instant", "integer", "markdown", "oid", "positiveInt", "string", "time", "unsignedInt",
    "uri", "url", "uuid", "xhtml",
]  # fmt: skip

GOOD: list[tuple[str, Any]] = [
    ("boolean", True),
    ("boolean", False),
    ("integer", 0),
    ("integer", -(2**31)),
    ("integer", 2**31 - 1),
    ("unsignedInt", 0),
    ("positiveInt", 1),
    ("decimal", 0),
    ("decimal", -12),
    ("decimal", Decimal("1.00")),
    ("decimal", Decimal("-1.5e10")),
    ("decimal", Decimal("1e-1000")),
    ("string", "a"),
    ("string", " two\r\n\tlines "),
    ("string", "\N{GRINNING FACE} \N{NO-BREAK SPACE}"),
    ("string", "x" * LONGEST_STRING),
    ("markdown", "# Title\n\ntext"),
    ("code", "in-progress"),
    ("code", "two words"),
    ("id", "a"),
    ("id", "A-1.b" + "x" * 59),
    ("uri", "http://example.org/a?b=c#d"),
    ("uri", "urn:oid:1.2.3"),
    ("uri", "relative/and#fragment"),
    ("url", "mailto:a@example.org"),
    ("canonical", "http://example.org/ValueSet/x|1.0"),
    ("oid", "urn:oid:1.2.840.0"),
    ("uuid", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
    ("base64Binary", "aGVsbG8="),
    ("base64Binary", "aGVs\r\n bG8="),
    ("date", "2024"),
    ("date", "2024-02"),
    ("date", "2024-02-29"),
    ("date", "0001-01-01"),
    ("date", "2000-02-29"),
    ("dateTime", "2024"),
    ("dateTime", "2024-12-31"),
    ("dateTime", "2024-02-29T23:59:60Z"),
    ("dateTime", "2024-02-29T00:00:00.123456789+14:00"),
    ("dateTime", "2024-02-29T00:00:00-13:59"),
    ("instant", "2024-02-29T13:45:00Z"),
    ("instant", "2024-02-29T13:45:00.1-05:00"),
    ("time", "00:00:00"),
    ("time", "23:59:60.5"),
    ("xhtml", '<div xmlns="http://www.w3.org/1999/xhtml">text</div>'),
]

BAD: list[tuple[str, Any]] = [
    ("boolean", "true"),
    ("boolean", 1),
    ("integer", "1"),
    ("integer", True),
    ("integer", Decimal("1.0")),
    ("integer", 2**31),
    ("integer", -(2**31) - 1),
    ("unsignedInt", -1),
    ("positiveInt", 0),
    ("decimal", "1.0"),
    ("decimal", True),
    ("decimal", Decimal("1e1001")),
    ("decimal", Decimal("1e-1001")),
    ("decimal", Decimal("0." + "1" * 1001)),
    ("decimal", 10**1000),
    ("decimal", Decimal("NaN")),
    ("decimal", Decimal("Infinity")),
    ("string", ""),
    ("string", 1),
    ("string", "bell\x07"),
    ("string", "nul\x00"),
    ("string", "lone \ud800 surrogate"),
    ("string", "x" * (LONGEST_STRING + 1)),
    ("markdown", ""),
    ("code", ""),
    ("code", " lead"),
    ("code", "trail "),
    ("code", "two  spaces"),
    ("code", "tab\tinside"),
    ("id", ""),
    ("id", "x" * 65),
    ("id", "under_score"),
    ("id", "slash/inside"),
    ("id", "line\n"),
    ("uri", ""),
    ("uri", "with space"),
    ("uri", "http://example.org/\n"),
    ("url", " http://example.org"),
    ("canonical", 1),
    ("oid", "1.2.3"),
    ("oid", "urn:oid:3.1"),
    ("oid", "urn:oid:1.02"),
    ("uuid", "c757873d-ec9a-4326-a141-556f43239520"),
    ("uuid", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520"),
    ("base64Binary", ""),
    ("base64Binary", " "),
    ("base64Binary", "aGVsbG8"),
    ("base64Binary", "a-b_"),
    ("base64Binary", "aGVsbG8=="),
    ("base64Binary", "é==="),
    ("date", "0000-01-01"),
    ("date", "2023-02-29"),
    ("date", "1900-02-29"),
    ("date", "2024-04-31"),
    ("date", "2024-13"),
    ("date", "2024-1-1"),
    ("date", "24-01-01"),
    ("date", "2024-01-01T00:00:00Z"),
    ("date", "2024-01-01\n"),
    ("date", "\u0662\u0660\u0662\u0664"),
    ("date", 2024),
    ("dateTime", "2024-02-30"),
    ("dateTime", "2024-02-30T10:00:00Z"),
    ("dateTime", "2024-02-29T13:45:00"),
    ("dateTime", "2024-02-29T13:45Z"),
    ("dateTime", "2024-02-29T24:00:00Z"),
    ("dateTime", "2024-02-29 13:45:00Z"),
    ("dateTime", "2024-02-29T13:45:00+14:01"),
    ("dateTime", ""),
    ("instant", "2024-02-29"),
    ("instant", "2023-02-29T13:45:00Z"),
    ("time", "24:00:00"),
    ("time", "10:00"),
    ("time", "10:00:00Z"),
    ("xhtml", "text"),
    ("xhtml", None),
]


def check(type_: str, value: Any) -> list[str]:
    issues = CHECKS[type_](value, {"x": value}, "x", Walk()) or []
    assert all(issue.expression == "" for issue in issues)
    return [issue.diagnostics for issue in issues]


def test_every_primitive_type_of_r4_has_a_check() -> None:
    assert sorted(CHECKS) == ALL


@pytest.mark.parametrize(("type_", "value"), GOOD)
def test_good_value_is_taken(type_: str, value: Any) -> None:
    assert check(type_, value) == []


@pytest.mark.parametrize(("type_", "value"), BAD)
def test_bad_value_is_refused_once(type_: str, value: Any) -> None:
    assert len(check(type_, value)) == 1


@pytest.mark.parametrize("type_", ALL)
@pytest.mark.parametrize("value", [None, [], {}, ["x"]])
def test_other_json_types_are_refused(type_: str, value: Any) -> None:
    assert "found" in check(type_, value)[0]


def test_diagnostics_quote_the_value_and_say_what_was_expected() -> None:
    assert check("boolean", "true") == [
        'Expected a boolean (true or false), found the string "true".'
    ]
    assert check("date", "2023-02-29") == ['There is no such day: "2023-02-29".']
    assert check("positiveInt", 0) == [
        "Expected a positiveInt from 1 to 2147483647, found the number 0."
    ]


def test_long_values_are_cut_in_diagnostics() -> None:
    assert len(check("date", "9" * 100_000)[0]) < 200
    assert len(check("integer", 10**100_000)[0]) < 200


def test_decimal_of_the_json_decoder_is_taken() -> None:
    assert check("decimal", decode(b"1.00")) == []
    assert check("decimal", decode(b"1e99999")) != []


def test_urn_is_noted_as_a_link_with_its_place() -> None:
    walk = Walk()
    values = ["http://example.org", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"]
    for index, value in enumerate(values):
        CHECKS["uri"](value, values, index, walk)
    assert walk.links == [(values, 1)]
