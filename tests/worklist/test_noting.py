"""What modalities are told, and what is exported for them, in the audit trail."""

from fhir_server.worklist.noting import EXPORT, note_steps
from fhir_server.worklist.reading import Wanted, read_steps
from fhir_server.worklist.scp import step_context
from tests.workflow.ordering import accession
from tests.worklist.calling import findscu, patient, scheduled, station
from tests.worklist.conftest import House


async def test_who_was_told_of_a_patient_is_noted(house: House) -> None:
    who = await patient(house.client, "90-1")
    other = await patient(house.client, "90-2")
    room = await station(house.client, "CT1")
    order = await scheduled(house.client, who, location=room)
    await scheduled(house.client, other, location=room)
    await findscu(house, f"AccessionNumber={accession(order)}", caller="CT1")
    found = await house.client.get(f"AuditEvent?patient={who}&subtype=worklist-find")
    (entry,) = found.json()["entry"]
    event = entry["resource"]
    assert event["agent"][0]["altId"] == "dicom:CT1"
    assert event["agent"][0]["network"]["address"] == "127.0.0.1"
    shown = {each["what"].get("reference") for each in event["entity"]}
    assert {f"Task/{order['id']}", f"ServiceRequest/{order['id']}", who} <= shown
    found = await house.client.get(f"AuditEvent?patient={other}&subtype=worklist-find")
    assert "entry" not in found.json()


async def test_what_is_exported_is_noted_and_nothing_is_not(house: House) -> None:
    who = await patient(house.client, "90-3")
    await scheduled(house.client, who)
    ctx = step_context("export", "")
    steps = await read_steps(house.engine, ctx, Wanted())
    await note_steps(house.engine.audit, ctx, EXPORT, steps)
    await note_steps(house.engine.audit, ctx, EXPORT, [])
    found = await house.client.get(f"AuditEvent?patient={who}&subtype=worklist-export")
    (entry,) = found.json()["entry"]
    assert entry["resource"]["agent"][0]["altId"] == "dicom:export"
    found = await house.client.get("AuditEvent?subtype=worklist-export&_summary=count")
    assert found.json()["total"] == 1
