"""What people do with studies: link, unlink, delete, each for a reason."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fhir_server.dicom.orthanc import Orthanc
from tests.answers import refusal_of, resource_of
from tests.dicom.hospital import WITHIN, Hospital, based_on, decision, tag
from tests.dicom.images import Scan
from tests.operations.calling import answered
from tests.workflow.ordering import Resource, accession, order
from tests.workflow.stepping import call, practitioner

REASON = "The technician typed the number wrongly"


@pytest.fixture
async def archive(hospital: Hospital) -> AsyncIterator[Orthanc]:
    """A client of the Orthanc."""
    found = Orthanc(hospital.orthanc.settings)
    yield found
    await found.close()


async def done(hospital: Hospital, study: str, operation: str, **given: Any) -> Resource:
    """The study that an operation answers with."""
    answer = await call(hospital.client, f"ImagingStudy/{study}", operation, **given)
    answered(f"ImagingStudy-{operation}", answer)
    return resource_of(answer, 200)


async def activities(hospital: Hospital, study: str) -> list[tuple[str, str]]:
    """What happened to a study and why, oldest first."""
    found = await hospital.all(f"Provenance?target=ImagingStudy/{study}&_sort=recorded")
    return [(each["activity"]["coding"][0]["code"], each["reason"][0]["text"]) for each in found]


async def test_dcm_6_a_person_links_what_no_rule_could_and_it_stays(hospital: Hospital) -> None:
    ordered, _ = await hospital.ordered("L1")
    await hospital.patient("L1-WRONG")
    scan = Scan(accession(ordered), "L1-WRONG")
    hospital.send(scan)
    task = await hospital.conflict(scan, "patient-mismatch")
    reference = f"ServiceRequest/{ordered['id']}"
    study = await done(hospital, scan.study, "link", order=reference, reason=REASON)
    assert based_on(study) == [reference]
    assert study["subject"] == ordered["subject"]
    assert (tag(study), decision(study, "rule")) == ("", "person")
    assert await hospital.state(ordered["id"]) == "completed"
    assert (await hospital.read(f"Task/{task['id']}"))["status"] == "completed"
    assert (await activities(hospital, scan.study))[-1] == ("link", REASON)
    again = await done(hospital, scan.study, "link", order=reference, reason=REASON)
    assert again == study
    hospital.send(scan)
    later = await hospital.study(scan, lambda found: found["numberOfSeries"] == 2)
    assert based_on(later) == [reference]
    assert decision(later, "rule") == "person"
    assert (await hospital.read(f"Task/{task['id']}"))["status"] == "completed"


async def test_what_a_person_unlinked_is_not_linked_again(hospital: Hospital) -> None:
    ordered, scan = await hospital.ordered("L2")
    hospital.send(scan)
    await hospital.study(scan, based_on)
    study = await done(hospital, scan.study, "unlink", reason=REASON)
    assert (based_on(study), tag(study)) == ([], "unmatched")
    assert decision(study, "refused") == {"reference": f"ServiceRequest/{ordered['id']}"}
    assert "Patient/" not in str(study["subject"])
    hospital.send(scan)
    later = await hospital.study(scan, lambda found: found["numberOfSeries"] == 2)
    assert (based_on(later), tag(later)) == ([], "unmatched")
    refused = await call(
        hospital.client, f"ImagingStudy/{scan.study}", "link",
        order=f"ServiceRequest/{ordered['id']}", reason="short",
    )  # fmt: skip
    assert "at least 10" in refusal_of(refused, 422)


async def test_a_study_is_linked_to_imaging_orders_of_one_patient_alone(
    hospital: Hospital,
) -> None:
    first, _ = await hospital.ordered("L3")
    second, _ = await hospital.ordered("L3B")
    laboratory = await hospital.client.post(
        "ServiceRequest", json=order(await hospital.patient("L3C"), "laboratory")
    )
    scan = Scan("", "L3")
    hospital.send(scan)
    await hospital.study(scan)
    target = f"ImagingStudy/{scan.study}"
    for given, status, said in (
        ([f"ServiceRequest/{each['id']}" for each in (first, second)], 422, "different patients"),
        (f"ServiceRequest/{laboratory.json()['id']}", 422, "no imaging order"),
        ("ServiceRequest/nothing", 404, "no order"),
        (first["subject"]["reference"], 404, "no order"),
    ):
        answer = await call(hospital.client, target, "link", order=given, reason=REASON)
        assert said in refusal_of(answer, status)
    missing = await call(
        hospital.client, "ImagingStudy/1.2.3", "link",
        order=f"ServiceRequest/{first['id']}", reason=REASON,
    )  # fmt: skip
    assert "1.2.3" in refusal_of(missing, 404)
    unlinked = await call(hospital.client, target, "unlink", reason=REASON)
    assert "no order" in refusal_of(unlinked, 409)


async def test_dcm_5_a_study_is_deleted_by_those_who_may_and_it_is_told(
    hospital: Hospital, archive: Orthanc
) -> None:
    """Hazard: delete by our API; intent and outcome are on record."""
    ordered, scan = await hospital.ordered("L4")
    hospital.send(scan)
    await hospital.study(scan, based_on)
    target = f"ImagingStudy/{scan.study}"
    doctor = await practitioner(hospital.client, "doctor")
    refused = await call(hospital.client, target, "delete-study", reason=REASON, actor=doctor)
    assert "administrator, radiologist" in refusal_of(refused, 403)
    assert "at least 10" in refusal_of(
        await call(hospital.client, target, "delete-study", reason="x"), 422
    )
    assert len(await archive.studies_of(scan.study)) == 1
    radiologist = await practitioner(hospital.client, "radiologist")
    study = await done(hospital, scan.study, "delete-study", reason=REASON, actor=radiologist)
    assert study["status"] == "cancelled"
    assert based_on(study) == [f"ServiceRequest/{ordered['id']}"]
    end = time.monotonic() + WITHIN
    events: list[Resource] = []
    while time.monotonic() < end and len(events) < 2:
        events = await hospital.all(f"AuditEvent?entity={target}&_sort=date")
        await asyncio.sleep(0.05)
    assert await archive.studies_of(scan.study) == []
    assert [each["outcome"] for each in events] == ["4", "0"]
    assert events[0]["agent"][0]["who"] == {"reference": radiologist}
    assert REASON in events[1]["outcomeDesc"]
    assert ("delete", REASON) in await activities(hospital, scan.study)
    history = await hospital.read(f"{target}/_history/1")
    assert history["status"] == "available"
    assert (await hospital.study(scan))["status"] == "cancelled"
    again = await call(hospital.client, target, "delete-study", reason=REASON)
    assert "no such images" in refusal_of(again, 409)


async def test_of_two_patients_under_one_uid_the_wrong_one_is_deleted(
    hospital: Hospital, archive: Orthanc
) -> None:
    """Hazard: same StudyInstanceUID, two PatientIDs; a way out."""
    ordered, scan = await hospital.ordered("L5")
    hospital.send(scan)
    hospital.send(Scan("", "L5-WRONG", study=scan.study))
    await hospital.conflict(scan, "shared-study-uid")
    target = f"ImagingStudy/{scan.study}"
    refused = await call(hospital.client, target, "delete-study", reason=REASON)
    wrong = next(
        each.id for each in await archive.studies_of(scan.study) if each.patient_id != "L5"
    )
    assert wrong in refusal_of(refused, 409)
    await done(hospital, scan.study, "delete-study", reason=REASON, **{"archive-study": wrong})
    study = await hospital.study(scan, based_on)
    assert study["status"] == "available"
    assert based_on(study) == [f"ServiceRequest/{ordered['id']}"]
    assert await hospital.state(ordered["id"]) == "completed"
