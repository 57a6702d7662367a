"""Which format the client gets (R4 http.html#mime-type, RFC 9110 12.5.1)."""

import httpx
import pytest

from fhir_server.http.negotiation import (
    check_accept,
    check_content_encoding,
    check_content_type,
    media_type,
)
from fhir_server.outcome import Refusal
from tests.answers import refusal_of

TAKEN = [
    None,
    "",
    "*/*",
    "application/*",
    "application/fhir+json",
    "application/json",
    "application/json+fhir",
    "text/json",
    "APPLICATION/FHIR+JSON",
    "application/fhir+json; fhirVersion=4.0",
    "application/fhir+xml, application/fhir+json;q=0.1",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "application/fhir+json;q=x",
    ",",
]
REFUSED = [
    "application/fhir+xml",
    "text/html",
    "application/fhir+json;q=0",
    "application/fhir+json; fhirVersion=5.0",
    "application/fhir+turtle, text/*",
    "nonsense",
]


@pytest.mark.parametrize("accept", TAKEN)
def test_json_is_given_to_who_takes_it(accept: str | None) -> None:
    check_accept(accept, None)


@pytest.mark.parametrize("accept", REFUSED)
def test_who_takes_something_else_is_refused(accept: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_accept(accept, None)
    assert caught.value.status == 406
    assert "application/fhir+json" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["json", "application/fhir+json", "application/fhir json", "application/json", "*/*"]
)
def test_format_outweighs_accept(name: str) -> None:
    check_accept("application/fhir+xml", name)


@pytest.mark.parametrize("name", ["xml", "application/fhir+xml", "ttl", "html", "", "JSONX"])
def test_an_unknown_format_is_refused_whatever_accept_says(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_accept("application/fhir+json", name)
    assert caught.value.status == 406


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


@pytest.mark.parametrize("path", ["metadata", "Patient", "Patient/x", "_history"])
async def test_refused_formats_are_told_in_json(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Accept": "application/fhir+xml"})
    told = refusal_of(answer, 406, "not-supported")
    assert "application/fhir+xml" in told
