"""What is not done: messages that cannot be made, and what metrics tell."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fhir_server.messaging.writing import Writer, shipped_writer
from fhir_server.packaged import folder
from tests.answers import refusal_of, resource_of
from tests.messaging.conftest import Hospital
from tests.messaging.mllp import peer
from tests.messaging.samples import adt, number, oml, one, search, until

STATE = "message-state"


def broken(directory: Path) -> Writer:
    """A writer by rules that are well formed and fail for every patient."""
    shutil.copytree(folder("mappings"), directory / "mappings")
    path = directory / "mappings/outgoing/outgoing.yaml"
    text = path.read_text().replace('1: "%event"', '1: "(1 | 2).single()"')
    path.write_text(text)
    return Writer(directory / "mappings")


async def test_a_change_of_which_no_message_can_be_made_is_parked_and_replayed(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = shipped_writer(folder("mappings"))
    mrn = number("UNTOLD")
    with monkeypatch.context() as patched:
        patched.setattr(writer, "_segments", broken(tmp_path)._segments)
        answer = await hospital.client.post(
            "Patient",
            json={"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": mrn}]},
        )
        patient = resource_of(answer, 201)
        query = f"Communication?{STATE}=failed&subject=Patient/{patient['id']}"
        record = await until(hospital.client, query)
        assert "no message can be made" in record["statusReason"]["text"]
        assert record["recipient"][0]["identifier"]["value"] == "EMR|HOSP"
        # With the same rules it is parked again.
        await hospital.client.post(f"Communication/{record['id']}/$replay")
        await parked_again(hospital, record["id"])
    resource_of(await hospital.client.post(f"Communication/{record['id']}/$replay"), 200)
    sent = await until(
        hospital.client, f"Communication?{STATE}=sent&subject=Patient/{patient['id']}"
    )
    assert sent["id"] == record["id"]
    assert "statusReason" not in sent


async def parked_again(hospital: Hospital, record: str) -> None:
    """Wait for the second failure, which is a version of its own."""
    for _ in range(200):
        found = resource_of(await hospital.client.get(f"Communication/{record}"), 200)
        if int(found["meta"]["versionId"]) > 1:
            assert found["status"] == "on-hold"
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it was not tried again")


async def test_metrics_count_what_is_parked(hospital: Hospital) -> None:
    async with peer(hospital.port) as sender:
        await sender.ask(oml(number("M"), number("P"), "XO"))
    for _ in range(300):
        text = (await hospital.client.get("http://test/metrics")).text
        lines = [e for e in text.splitlines() if e.startswith("fhir_hl7v2_messages{")]
        if any('state="parked"' in each and not each.endswith(" 0.0") for each in lines):
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError(text)
    assert 'fhir_hl7v2_outgoing_messages{destination="ris",state="waiting"' in text


async def test_what_is_refused_at_the_door_has_a_record_with_its_reason(hospital: Hospital) -> None:
    control_id = number("PART")
    part = oml(number("M"), number("P"), control_id=control_id) + b"DSC|more|F\r"
    async with peer(hospital.port) as sender:
        answer = await sender.ask(part)
    assert (answer.value("MSA-1"), answer.value("ERR-3.1")) == ("AR", "207")
    record = await one(hospital.client, f"Communication?{STATE}=error&identifier={control_id}")
    assert "expected a whole message" in record["statusReason"]["text"]


async def test_enhanced_mode_refuses_at_once_what_the_record_tells_later(
    hospital: Hospital,
) -> None:
    control_id = number("CR")
    part = oml(number("M"), number("P"), control_id=control_id, modes="AL|AL") + b"DSC|more|F\r"
    async with peer(hospital.port) as sender:
        answer = await sender.ask(part)
    assert (answer.value("MSA-1"), answer.value("MSA-2")) == ("CR", control_id)
    await until(hospital.client, f"Communication?{STATE}=error&identifier={control_id}")


async def test_bytes_that_are_no_message_have_a_record_too(hospital: Hospital) -> None:
    before = {e["id"] for e in await search(hospital.client, f"Communication?{STATE}=error")}
    async with peer(hospital.port) as sender:
        await sender.ask(b"nothing of the kind")
    for _ in range(200):
        found = await search(hospital.client, f"Communication?{STATE}=error&_count=1000")
        new = [each for each in found if each["id"] not in before]
        if any("expected MSH" in each["statusReason"]["text"] for each in new):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("there is no record")


async def valid(hospital: Hospital, record: dict[str, Any]) -> bool:
    """Whether a record, which is stored unchecked, is as R4 and its profile want it."""
    answer = await hospital.client.post("Communication/$validate", json=record)
    issues = resource_of(answer, 200)["issue"]
    return not [each for each in issues if each["severity"] in ("error", "fatal")]


async def test_what_is_acknowledged_and_not_carried_out_is_listed(hospital: Hospital) -> None:
    mrn, name, control_id = number("M"), number("SLOW"), number("WAITS")
    query = f"Communication/$hl7v2-waiting?sender={name}%7CHOSP&control-id={control_id}"
    with psycopg.connect(hospital.database, autocommit=True) as other:
        # Another worker carries out a message of this sender, so that the next ones wait.
        line = f"tenant_default|{name}|HOSP"
        other.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (line,))
        async with peer(hospital.port) as sender:
            content = adt(mrn, sender=name, control_id=control_id, modes="AL|NE")
            assert (await sender.ask(content)).value("MSA-1") == "CA"
        listed = resource_of(await hospital.client.get(query), 200)
        (entry,) = listed["entry"]
        record = entry["resource"]
        assert record["extension"][0]["valueCode"] == "received"
        assert record["identifier"][0]["value"] == control_id
        assert await valid(hospital, record)
        shown = await hospital.client.get(f"Communication/{record['id']}/$hl7v2-message")
        assert resource_of(shown, 200)["parameter"][0]["valueCode"] == "received"
    done = await until(hospital.client, f"Communication?{STATE}=done&identifier={control_id}")
    assert done["id"] == record["id"]
    assert "entry" not in resource_of(await hospital.client.get(query), 200)


async def test_more_than_can_be_listed_is_refused(hospital: Hospital) -> None:
    answer = await hospital.client.get("Communication/$hl7v2-waiting?count=1001")
    assert "expected 1 to 1000" in refusal_of(answer, 400, "value")


@pytest.mark.parametrize("name", ["plain", "ignoring"])
async def test_records_are_valid_whatever_messages_hold(hospital: Hospital, name: str) -> None:
    control_id = number("ODD")
    odd = f"MSH|^~\\&| \x01 ||FHIR\t|  |x||  ZZZ ^ Z\x02|{control_id} \x03|P|2.5.1\rPID|||\x04\r"
    async with peer(hospital.ports[name]) as sender:
        await sender.ask(odd.encode())
    found = await search(hospital.client, "Communication?_sort=-_lastUpdated&_count=5")
    record = next(each for each in found if control_id in str(each["identifier"]))
    assert await valid(hospital, record)
