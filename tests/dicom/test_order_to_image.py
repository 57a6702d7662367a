"""The whole way, as a department goes it: order, worklist, images, and off the worklist again."""

import asyncio
from pathlib import Path

import pytest

from tests.dicom.hospital import Hospital, based_on, decision
from tests.dicom.images import Scan, series, storescu, write
from tests.workflow.ordering import accession
from tests.workflow.stepping import SOON, step
from tests.worklist.calling import findscu
from tests.worklist.conftest import House


@pytest.mark.parametrize("by_uid", [True, False], ids=["study UID", "accession number"])
async def test_dcm_7_what_the_worklist_tells_a_device_brings_its_images_home(
    hospital: Hospital, tmp_path: Path, by_uid: bool
) -> None:
    order = await hospital.order(await hospital.patient(f"W{by_uid}"))
    reference = f"ServiceRequest/{order['id']}"
    await step(hospital.client, reference, "schedule", time=SOON)
    house = House(hospital.client, hospital.worklist_port, None)  # type: ignore[arg-type]
    keys = (
        f"AccessionNumber={accession(order)}",
        "IssuerOfPatientID=",
        "IssuerOfAccessionNumberSequence[0].UniversalEntityID=",
    )
    (entry,) = await findscu(house, *keys)
    scan = Scan(entry.AccessionNumber, entry.PatientID, entry.IssuerOfPatientID)
    if by_uid:
        scan = Scan("", scan.patient, scan.issuer, str(entry.StudyInstanceUID))
    else:
        issuer = entry.IssuerOfAccessionNumberSequence
        scan = scan.with_(IssuerOfAccessionNumberSequence=issuer)
    files = write(tmp_path / "scan", series(scan, 3))
    await asyncio.to_thread(storescu, hospital.orthanc.dicom_port, files)
    study = await hospital.study(scan, based_on)
    assert based_on(study) == [reference]
    assert decision(study, "rule") == ("study-uid" if by_uid else "accession")
    assert study["numberOfInstances"] == 3
    assert await hospital.state(order["id"]) == "completed"
    assert await findscu(house, *keys) == []
