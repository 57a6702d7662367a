"""Elements that a role does not see: gone from answers, not searched by, kept when it writes."""

from typing import Any

import httpx
import pytest

from fhir_server.interactions.hiding import hidden_parts, keeping_hidden, without_hidden
from fhir_server.outcome import Refusal
from fhir_server.security.access import Access, Grant
from tests.security.conftest import As

HISTORY = "https://fhir-server.example/r4/StructureDefinition/order-clinical-history"
SECRET = "Zymurgeist"


def hiding(*paths: str) -> Access:
    grant = Grant(frozenset({"*"}), frozenset("cruds"), hidden=frozenset(paths))
    return Access(((grant,),))


def coverage() -> dict[str, Any]:
    return {
        "resourceType": "Coverage",
        "id": "c",
        "status": "active",
        "subscriberId": SECRET,
        "beneficiary": {"reference": "Patient/x"},
        "payor": [{"display": "Payor"}],
    }


@pytest.fixture(scope="module")
async def admin(someone: As) -> httpx.AsyncClient:
    client = someone("administrator")
    patient = {"resourceType": "Patient", "id": "x"}
    assert (await client.put("Patient/x", json=patient)).status_code == 201
    assert (await client.put("Coverage/c", json=coverage())).status_code == 201
    return client


@pytest.fixture(scope="module")
def doctor(someone: As, admin: httpx.AsyncClient) -> httpx.AsyncClient:
    """Who sees coverages, but no subscriber ids."""
    return someone("doctor")


@pytest.mark.parametrize(
    "path",
    [
        "Coverage/c",
        "Coverage/c/_history",
        "Coverage/c/_history/1",
        "Coverage",
        "Coverage?_id=c",
        "Coverage?_id=c&_include=*",
        "Patient?_revinclude=Coverage:beneficiary",
        "Patient/x/Coverage",
        "Patient/x/$everything",
    ],
)
async def test_hidden_elements_leave_by_no_way(
    doctor: httpx.AsyncClient, admin: httpx.AsyncClient, path: str
) -> None:
    answer = await doctor.get(path)
    assert answer.status_code == 200, answer.text
    assert '"Coverage"' in answer.text
    assert SECRET not in answer.text
    assert "SUBSETTED" in answer.text
    assert SECRET in (await admin.get(path)).text
    as_xml = await doctor.get(path, headers={"Accept": "application/fhir+xml"})
    assert SECRET not in as_xml.text


async def test_batches_hide_as_well(doctor: httpx.AsyncClient) -> None:
    entry = [{"request": {"method": "GET", "url": "Coverage/c"}}]
    for kind in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": entry}
        answer = await doctor.post("", json=bundle)
        assert answer.status_code == 200
        assert SECRET not in answer.text


async def test_hidden_elements_are_not_searched_by(someone: As, admin: httpx.AsyncClient) -> None:
    scheduler = someone("scheduler")
    for query in (
        "_content=Zymurgeist", "_text=Zymurgeist", "_sort=_text", "_filter=_content co \"x\"",
    ):  # fmt: skip
        answer = await scheduler.get(f"ServiceRequest?{query}")
        assert answer.status_code == 400, query
    assert (await scheduler.get("?_content=Zymurgeist")).status_code == 400
    assert (await scheduler.get("ServiceRequest?status=active")).status_code == 200
    # By somebody who sees everything they are.
    assert (await admin.get("ServiceRequest?_content=Zymurgeist")).status_code == 200


def test_values_that_are_not_seen_stay_as_they_were() -> None:
    access = hiding("Coverage.subscriberId", "Coverage.payor")
    sent = {k: v for k, v in coverage().items() if k not in ("subscriberId", "payor")}
    sent["status"] = "cancelled"
    kept = keeping_hidden(access, sent, coverage())
    assert kept == coverage() | {"status": "cancelled"}


def test_what_is_not_seen_cannot_be_written() -> None:
    access = hiding("Coverage.subscriberId")
    for old in (None, coverage() | {"subscriberId": "other"}):
        with pytest.raises(Refusal, match=r"Coverage\.subscriberId, which you may not see"):
            keeping_hidden(access, coverage(), old)


def test_the_tag_of_what_was_left_out_does_not_come_back() -> None:
    access = hiding("Coverage.subscriberId")
    import msgspec

    seen = msgspec.json.decode(without_hidden(access, msgspec.json.encode(coverage())))
    assert seen["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert keeping_hidden(access, seen, coverage()) == coverage() | {"meta": {}}


def test_an_extension_is_hidden_by_its_url() -> None:
    order = {
        "resourceType": "ServiceRequest",
        "extension": [{"url": HISTORY, "valueString": "x"}, {"url": "urn:other", "valueCode": "y"}],
    }
    access = hiding(f"ServiceRequest.extension:{HISTORY}")
    assert hidden_parts(order, access.hidden("ServiceRequest")) == {
        "extension": [order["extension"][0]]
    }
    without = {**order, "extension": [order["extension"][1]]}
    kept = keeping_hidden(access, without, order)
    assert sorted(each["url"] for each in kept["extension"]) == sorted([HISTORY, "urn:other"])


@pytest.mark.parametrize(
    ("element", "key", "hides"),
    [
        ("value[x]", "valueQuantity", True),
        ("value[x]", "_valueString", True),
        ("note", "note", True),
        ("note", "notes", False),
        ("complication", "complicationDetail", False),
        ("birthDate", "_birthDate", True),
    ],
)
def test_an_element_is_hidden_by_all_its_json_keys(element: str, key: str, hides: bool) -> None:
    assert bool(hidden_parts({key: "x"}, {element})) == hides
