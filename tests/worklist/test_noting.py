"""What modalities are told, in the audit trail."""

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
