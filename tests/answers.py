"""Reading what the server answered, with the checks that hold for every answer of a kind."""

from decimal import Decimal
from typing import Any

import httpx

from fhir_server import fhir_json

FHIR_JSON = "application/fhir+json; charset=utf-8"


def resource_of(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The resource, with the decimals as they were written."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == FHIR_JSON
    found: dict[str, Any] = fhir_json.decode(answer.content)
    return found


def refusal_of(answer: httpx.Response, status: int, code: str | None = None) -> str:
    """The diagnostics of an OperationOutcome; each issue must be whole."""
    outcome = resource_of(answer, status)
    return diagnostics_of(outcome, code)


def diagnostics_of(outcome: dict[str, Any], code: str | None = None) -> str:
    """The diagnostics of an OperationOutcome, one issue a line."""
    assert outcome["resourceType"] == "OperationOutcome"
    for issue in outcome["issue"]:
        assert issue["severity"] in ("fatal", "error", "warning", "information")
        assert issue["diagnostics"]
    if code is not None:
        assert code in {issue["code"] for issue in outcome["issue"]}
    return "\n".join(issue["diagnostics"] for issue in outcome["issue"])


def link_of(bundle: dict[str, Any], relation: str) -> str | None:
    """The URL of a link, None when the Bundle has no such link."""
    links = {link["relation"]: link["url"] for link in bundle.get("link", ())}
    return links.get(relation)


def resources_of(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """The matches of a searchset, or the resources of a history."""
    return [
        entry["resource"]
        for entry in bundle.get("entry", ())
        if "resource" in entry and entry.get("search", {}).get("mode", "match") == "match"
    ]


def ids_of(bundle: dict[str, Any]) -> set[str]:
    """The ids of the matches."""
    return {resource["id"] for resource in resources_of(bundle)}


def digits(value: int | Decimal) -> tuple[int, tuple[int, ...], int | str]:
    """Sign, digits and exponent: equal only for numbers written with the same precision."""
    found = Decimal(value).as_tuple()
    return found.sign, found.digits, found.exponent
