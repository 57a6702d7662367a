"""A server that could not ask who somebody is does not start."""

from typing import Any

import pytest

from fhir_server.identity.requirements import identity_problem
from fhir_server.settings import Settings

ISSUER = "https://id.example.org"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"authentication": "external"}, "--token-issuer"),
        ({"authentication": "external", "token_issuer": ISSUER}, "audience"),
        (
            {"authentication": "embedded", "base_url": "http://fhir.example.org/fhir"},
            "begins with https",
        ),
    ],
)
def test_what_cannot_work_is_told(given: dict[str, Any], told: str) -> None:
    assert told in identity_problem(Settings(**given))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"authentication": "embedded"},
        {"authentication": "embedded", "base_url": "https://fhir.example.org/fhir"},
        {"authentication": "embedded", "base_url": "http://localhost:8080/fhir"},
        {"authentication": "external", "token_issuer": ISSUER, "token_audience": "a"},
    ],
)
def test_what_can_work_is_taken(given: dict[str, Any]) -> None:
    assert identity_problem(Settings(**given)) == ""
