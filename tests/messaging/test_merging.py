"""Patients merged by messages, and messages that come late: literal dialogues over MLLP."""

from typing import Any

from tests.answers import resource_of
from tests.messaging.conftest import Hospital
from tests.messaging.mllp import hl7, peer
from tests.messaging.samples import adt, msh, number, oml, one, oru, search


def merge(source: str, into: str, *, time: str = "20260110120000") -> bytes:
    """A message that gives up one record number for another."""
    return hl7(
        msh("ADT^A40^ADT_A39", number("MRG"), time=time),
        f"EVN|A40|{time}",
        f"PID|1||{into}^^^HOSP^MR||Doe^John||19800101|M",
        f"MRG|{source}^^^HOSP^MR",
    )


async def patient(hospital: Hospital, mrn: str) -> dict[str, Any]:
    """The patient that a record number names now."""
    found = await search(hospital.client, f"Patient?identifier={mrn}")
    current = [
        each
        for each in found
        if any(i["value"] == mrn and i.get("use") != "old" for i in each["identifier"])
    ]
    assert len(current) == 1, found
    return current[0]


async def test_what_referred_to_a_merged_patient_refers_to_the_one_that_stays(
    hospital: Hospital,
) -> None:
    stays, goes, placer = number("S"), number("G"), number("P")
    async with peer(hospital.port) as sender:
        for content in (adt(stays), adt(goes), oml(goes, placer), oru(goes, f"{placer}^HIS")):
            assert (await sender.ask(content)).value("MSA-1") == "AA"
        old = f"Patient/{(await patient(hospital, goes))['id']}"
        new = f"Patient/{(await patient(hospital, stays))['id']}"
        assert await search(hospital.client, f"Task?patient={old}")
        assert (await sender.ask(merge(goes, stays))).value("MSA-1") == "AA"
    for query in (
        "ServiceRequest?subject=", "Task?patient=", "DiagnosticReport?subject=",
        "Observation?subject=", "Specimen?subject=", "Encounter?subject=",
        "Communication?category=incoming&subject=",
    ):  # fmt: skip
        assert await search(hospital.client, f"{query}{old}") == [], query
        assert await search(hospital.client, f"{query}{new}"), query
    order = await one(hospital.client, f"ServiceRequest?identifier={placer}")
    assert order["subject"]["reference"] == new
    given_up = resource_of(await hospital.client.get(old), 200)
    assert given_up["active"] is False
    assert given_up["link"] == [{"other": {"reference": new}, "type": "replaced-by"}]
    survivor = resource_of(await hospital.client.get(new), 200)
    assert survivor["link"] == [{"other": {"reference": old}, "type": "replaces"}]
    numbers = {each["value"]: each.get("use") for each in survivor["identifier"]}
    assert (numbers[stays], numbers[goes]) == (None, "old")


async def test_the_provenance_of_a_merge_names_all_that_was_moved(hospital: Hospital) -> None:
    stays, goes, placer = number("S"), number("G"), number("P")
    async with peer(hospital.port) as sender:
        for content in (adt(stays), oml(goes, placer), merge(goes, stays)):
            assert (await sender.ask(content)).value("MSA-1") == "AA"
    order = await one(hospital.client, f"ServiceRequest?identifier={placer}")
    told = await search(hospital.client, f"Provenance?target=ServiceRequest/{order['id']}")
    texts = [each.get("activity", {}).get("text") for each in told]
    assert "HL7 v2 ADT^A40" in texts


async def test_a_chain_of_merges_moves_all_to_its_end_and_later_messages_too(
    hospital: Hospital,
) -> None:
    first, second, third = number("A"), number("B"), number("C")
    orders = [number("P") for _ in range(2)]
    async with peer(hospital.port) as sender:
        for content in (
            adt(first), adt(second), adt(third), oml(first, orders[0]),
            merge(first, second), merge(second, third), oml(first, orders[1]),
        ):  # fmt: skip
            assert (await sender.ask(content)).value("MSA-1") == "AA"
    end = await patient(hospital, third)
    for each in orders:
        order = await one(hospital.client, f"ServiceRequest?identifier={each}")
        assert order["subject"]["reference"] == f"Patient/{end['id']}"


async def test_an_older_message_does_not_overwrite_what_a_newer_one_said(
    hospital: Hospital,
) -> None:
    mrn = number("M")
    async with peer(hospital.port) as sender:
        await sender.ask(adt(mrn, "First", time="20260110080000"))
        await sender.ask(adt(mrn, "First", time="20260110120000"))
        answer = await sender.ask(adt(mrn, "Late", time="20260110100000"))
        assert (answer.value("MSA-1"), answer.value("ERR-4")) == ("AA", "W")
        assert (await patient(hospital, mrn))["name"][0]["family"] == "First"
        await sender.ask(adt(mrn, "Next", time="20260110130000"))
    assert (await patient(hospital, mrn))["name"][0]["family"] == "Next"


async def test_messages_of_one_day_without_an_hour_are_taken_as_they_come(
    hospital: Hospital,
) -> None:
    mrn = number("M")
    async with peer(hospital.port) as sender:
        await sender.ask(adt(mrn, "First", time="20260110120000"))
        await sender.ask(adt(mrn, "Second", time="20260110"))
        assert (await patient(hospital, mrn))["name"][0]["family"] == "Second"
        await sender.ask(adt(mrn, "Third", time="20260109"))
    assert (await patient(hospital, mrn))["name"][0]["family"] == "Second"


async def test_a_patient_known_from_an_order_is_completed_by_an_older_registration(
    hospital: Hospital,
) -> None:
    mrn = number("M")
    async with peer(hospital.port) as sender:
        await sender.ask(oml(mrn, number("P"), time="20260110120000"))
        await sender.ask(adt(mrn, "Registered", event="A04", time="20260110115500"))
    assert (await patient(hospital, mrn))["name"][0]["family"] == "Registered"


async def test_a_merge_that_comes_late_ties_the_records_and_leaves_newer_names(
    hospital: Hospital,
) -> None:
    stays, goes = number("S"), number("G")
    async with peer(hospital.port) as sender:
        await sender.ask(adt(stays, "Newer", time="20260111080000"))
        await sender.ask(adt(goes, time="20260101080000"))
        assert (await sender.ask(merge(goes, stays))).value("MSA-1") == "AA"
    survivor = await patient(hospital, stays)
    assert survivor["name"][0]["family"] == "Newer"
    assert [each["type"] for each in survivor["link"]] == ["replaces"]
