"""Every role, type and interaction, by single requests, batches and transactions: SEC-2.

What is expected is read off the tables of the policy here, without the code that serves by them.
"""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from fhir_server.operations.registry import OPERATIONS
from fhir_server.packaged import folder
from fhir_server.security.principal import ROLES
from fhir_server.spec import definitions
from tests.security.conftest import As

TABLES = json.loads((folder("profiles") / "security" / "policy.json").read_bytes())
TYPES = sorted(definitions().resource_types)
# By letter: the request, with an id that never was and a body that is never taken.
REQUESTS = {
    "c": ("POST", "{type}"),
    "r": ("GET", "{type}/never"),
    "u": ("PUT", "{type}/never"),
    "d": ("DELETE", "{type}?_id=never"),
    "s": ("GET", "{type}?_count=0"),
}


def expected(role: str, type_: str, letter: str) -> bool:
    rules = next(each["rules"] for each in TABLES["roles"] if each["role"] == role)
    for rule in rules:
        types = {t for name in rule["types"] for t in TABLES["groups"].get(name, [name])}
        # Whether an id that never was is theirs to write cannot be said of a part of a type.
        part = letter == "u" and "where" in rule
        if letter in rule["letters"] and ({type_, "*"} & types) and not part:
            return True
    return False


def body(type_: str) -> dict[str, Any]:
    return {"resourceType": type_, "nonsense": True}


def entries(types: Iterable[str], letters: Iterable[str]) -> list[dict[str, Any]]:
    found = []
    for type_ in types:
        for letter in letters:
            method, path = REQUESTS[letter]
            entry: dict[str, Any] = {"request": {"method": method, "url": path.format(type=type_)}}
            if method in ("POST", "PUT"):
                entry["resource"] = body(type_)
            found.append(entry)
    return found


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_single_requests_are_granted_as_the_policy_says(someone: As, role: str) -> None:
    client = someone(role)
    wrong = []
    for type_ in TYPES[:: 1 if role in ("doctor", "receptionist") else 7]:
        for letter, (method, path) in REQUESTS.items():
            content = body(type_) if method in ("POST", "PUT") else None
            answer = await client.request(method, path.format(type=type_), json=content)
            assert answer.status_code < 500, answer.text
            if (answer.status_code != 403) != expected(role, type_, letter):
                wrong.append((type_, letter, answer.status_code))
    assert wrong == []


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_entries_of_batches_are_granted_as_the_policy_says(someone: As, role: str) -> None:
    asked = [(type_, letter) for type_ in TYPES for letter in REQUESTS]
    answers: list[str] = []
    client = someone(role)
    for start in range(0, len(asked), 250):
        part = [entries([type_], [letter])[0] for type_, letter in asked[start : start + 250]]
        answer = await client.post(
            "", json={"resourceType": "Bundle", "type": "batch", "entry": part}
        )
        assert answer.status_code == 200, answer.text
        answers += [each["response"]["status"][:3] for each in answer.json()["entry"]]
    # A batch carries its entries out by method, and answers in their order.
    wrong = [
        (type_, letter, status)
        for (type_, letter), status in zip(asked, answers, strict=True)
        if (status != "403") != expected(role, type_, letter)
    ]
    assert wrong == []


@pytest.mark.parametrize("role", ["nurse", "scheduler", "billing-officer"])
async def test_a_transaction_with_an_entry_that_is_not_granted_is_refused(
    someone: As, role: str
) -> None:
    client = someone(role)
    for letter in REQUESTS:
        denied = next(t for t in TYPES if not expected(role, t, letter))
        bundle = {"resourceType": "Bundle", "type": "transaction"}
        answer = await client.post("", json=bundle | {"entry": entries([denied], [letter])})
        assert answer.status_code == 403, (denied, letter, answer.text)


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_operations_are_granted_as_the_policy_says(someone: As, role: str) -> None:
    client = someone(role)
    row = next(each for each in TABLES["roles"] if each["role"] == role)
    named = {n for name in row["operations"] for n in TABLES["operations"].get(name, [name])}
    for operation in OPERATIONS:
        type_, _, code = operation.name.partition("-")
        facts = next(f for f in definitions().operations if f.url == operation.url)
        owner = "Patient" if type_ == "Resource" else "".join(facts.resources[:1])
        place = f"{owner}/never/" if facts.instance else f"{owner}/" if facts.type else ""
        answer = await client.post(f"{place}${code}", json={"resourceType": "Parameters"})
        assert answer.status_code < 500, answer.text
        allowed = "*" in named or operation.name in named
        if not allowed:
            assert answer.status_code == 403, (operation.name, answer.text)
        elif f"${code} is not granted" in answer.text:
            pytest.fail(f"{operation.name} is in the policy of {role}: {answer.text}")
