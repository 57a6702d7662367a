"""Which format the client gets (R4 http.html#mime-type, RFC 9110 12.5.1)."""

import time

import httpx
import pytest

from fhir_server.http.negotiation import (
    check_content_encoding,
    check_content_type,
    media_type,
    negotiate,
)
from fhir_server.outcome import Refusal
from tests.answers import refusal_of

JSON = "application/fhir+json"
XML = "application/fhir+xml"
# An Accept header and what it is answered with; None is 406.
ACCEPT: list[tuple[str | None, str | None]] = [
    (None, JSON),
    ("", JSON),
    (",", JSON),
    ("*/*", JSON),
    ("application/*", JSON),
    ("text/*", "text/json"),
    ("*/*;q=0", None),
    (JSON, JSON),
    (XML, XML),
    ("APPLICATION/FHIR+JSON", JSON),
    ("Application/Fhir+Xml", XML),
    # A generic type is answered with itself (R4 http.html#mime-type).
    ("application/json", "application/json"),
    ("text/json", "text/json"),
    ("application/json+fhir", "application/json+fhir"),
    ("application/xml", "application/xml"),
    ("text/xml", "text/xml"),
    ("application/xml+fhir", "application/xml+fhir"),
    ("json", JSON),
    ("xml", XML),
    # Quality first, then what is named, then the order.
    (f"{XML}, {JSON};q=0.1", XML),
    (f"{XML};q=0.1, {JSON}", JSON),
    (f"{JSON}, {XML}", JSON),
    (f"{XML}, {JSON}", XML),
    (f"{XML}, */*", XML),
    (f"*/*, {XML}", XML),
    (f"{XML};q=0.5, */*;q=0.1", XML),
    (f"{XML};q=0.1, */*;q=0.5", JSON),
    (f"{JSON};q=0.1, */*;q=0.5", XML),
    (f"{JSON};q=0, */*", XML),
    (f"{XML};q=0, */*", JSON),
    (f"{JSON};q=0, {XML};q=0, */*", None),
    (f"{JSON};q=0", None),
    (f"{JSON};q=0.000", None),
    (f"{JSON};q=0.001", JSON),
    ("text/xml;q=0.9, application/*;q=0.2", "text/xml"),
    (f"{JSON};q=x", JSON),
    (f"{JSON};q=nan, {XML};q=0.9", JSON),
    (f"{JSON};q=inf", JSON),
    (f"{XML} ; Q=0.2 , {JSON} ; q=0.1", XML),
    # Parameters.
    (f"{JSON}; fhirVersion=4.0", JSON),
    (f"{XML};fhirVersion=4.0.1", XML),
    (f"{JSON}; fhirVersion=5.0", None),
    (f"{JSON}; fhirVersion=3.0, {XML}; fhirVersion=4.0; q=0.1", XML),
    (f"{XML};charset=utf-8", XML),
    (f'{XML};charset="UTF-8"', XML),
    (f"{XML};charset=iso-8859-1", None),
    (f'{XML};x="a,{JSON}"', XML),
    (f'{XML};x="a', XML),
    # Browsers ask for a page first and list XML; people read JSON as well.
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", JSON),
    (f"text/html;q=0.5,{XML},*/*;q=0.1", XML),
    ("text/html", None),
    ("text/html,application/xml;q=0.9", "application/xml"),
    ("application/fhir+turtle", None),
    ("application/pdf, image/*", None),
    ("nonsense", None),
]


@pytest.mark.parametrize(("accept", "expected"), ACCEPT)
def test_accept_is_answered_with_the_best_it_allows(
    accept: str | None, expected: str | None
) -> None:
    if expected is not None:
        found = negotiate(accept, None)
        assert found.media_type == expected
        assert found.is_xml == ("xml" in expected)
        assert found.header == (b"content-type", f"{expected}; charset=utf-8".encode())
        return
    with pytest.raises(Refusal) as caught:
        negotiate(accept, None)
    assert caught.value.status == 406
    assert f"{JSON} and {XML}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("json", JSON),
        (JSON, JSON),
        ("application/fhir json", JSON),
        ("application/json", "application/json"),
        ("text/json", "text/json"),
        ("xml", XML),
        ("XML", XML),
        (XML, XML),
        ("application/fhir xml", XML),
        ("application/xml", "application/xml"),
        ("text/xml", "text/xml"),
        ("*/*", JSON),
        (f"{XML};fhirVersion=4.0", XML),
    ],
)
@pytest.mark.parametrize("accept", [None, JSON, XML, "application/pdf"])
def test_format_outweighs_accept(accept: str | None, name: str, expected: str) -> None:
    assert negotiate(accept, name).media_type == expected


@pytest.mark.parametrize(
    "name", ["ttl", "html", "text/html", "", "JSONX", f"{XML};fhirVersion=5.0", f"{JSON},{XML}"]
)
def test_an_unknown_format_is_refused_whatever_accept_says(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        negotiate(JSON, name)
    assert caught.value.status == 406


def test_a_hostile_header_costs_no_time() -> None:
    started = time.process_time()
    for header in ('"' * 60_000, 'a"' * 30_000, "a," * 30_000, ";" * 60_000):
        with pytest.raises(Refusal):
            negotiate(header, None)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a/b", ("a/b", {})),
        (' A/B ; Q = 1 ;c="D"', ("a/b", {"q": "1", "c": "D"})),
        ("", ("", {})),
        (";;", ("", {"": ""})),
    ],
)
def test_media_types_are_read(header: str, expected: tuple[str, dict[str, str]]) -> None:
    assert media_type(header) == expected


def test_a_form_is_a_form() -> None:
    check_content_type("application/x-www-form-urlencoded; charset=utf-8", "form")
    with pytest.raises(Refusal):
        check_content_type("application/fhir+json", "form")


@pytest.mark.parametrize("header", [None, "", "identity", "Identity "])
def test_a_body_may_say_that_it_is_not_compressed(header: str | None) -> None:
    check_content_encoding(header)


@pytest.mark.parametrize(
    "name", [JSON, "text/json", XML, "application/xml", "text/xml", "application/xml+fhir"]
)
def test_a_resource_may_be_json_or_xml(name: str) -> None:
    assert check_content_type(f"{name}; charset=UTF-8; fhirVersion=4.0", "resource") == name


@pytest.mark.parametrize("path", ["metadata", "Patient", "Patient/x", "_history"])
async def test_refused_formats_are_told_in_json(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Accept": "application/fhir+turtle"})
    told = refusal_of(answer, 406, "not-supported")
    assert "application/fhir+turtle" in told
