"""What goes wrong between devices, an archive and orders: each has a test that names it."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from fhir_server.dicom.hints import PATH, signature
from fhir_server.dicom.local import LocalOrthanc
from fhir_server.dicom.orthanc import Orthanc
from tests.dicom.conftest import StartOrthanc
from tests.dicom.hospital import Hospital, based_on, served
from tests.dicom.images import Scan, series
from tests.uploads.sending import content, md5, parts, upload

TESTS = Path(__file__).parents[1]
SECRET = "hints-are-signed-with-this"

HAZARDS = (
    "accession number missing", "unknown accession number", "duplicated in orders",
    "one accession number, several studies", "more than 16 characters", "issuer",
    "patient mismatch", "mixed accession numbers", "same StudyInstanceUID, two PatientIDs",
    "same SOPInstanceUID, different bytes", "split uploads, late instances", "lost StableStudy",
    "lost hook", "hook sent twice", "deleted in Orthanc", "overwritten in Orthanc",
    "delete by our API", "private tags", "character sets", "corrupted files", "huge files",
    "truncated uploads", "compressed syntaxes", "zip uploads", "thumbnails", "PHI in logs",
    "path and SSRF", "XSS", "modify", "Orthanc down", "time zone", "kill -9 of our server",
    "kill -9 of Orthanc", "PostgreSQL killed",
)  # fmt: skip


@pytest.mark.parametrize("hazard", HAZARDS)
def test_each_hazard_is_named_by_a_test(hazard: str) -> None:
    found = [
        path
        for folder in ("dicom", "dicomweb", "uploads", "worklist", "workflow")
        for path in (TESTS / folder).glob("test_*.py")
        for line in path.read_text().splitlines()
        if '"""Hazard: ' in line and hazard in line
    ]
    assert found, f"no test names the hazard {hazard!r}"


@pytest.fixture(scope="module")
async def hospital(
    database: str, orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hospital]:
    """A server, an Orthanc and a folder of the module's own."""
    async with served(
        database, orthanc, orthanc_hint_secret=SECRET, access_log=True, log_level="DEBUG"
    ) as client:
        yield Hospital(client, orthanc, tmp_path_factory.mktemp("images"))


async def test_a_hint_that_comes_again_makes_nothing_twice(
    hospital: Hospital, archive: Orthanc
) -> None:
    """Hazard: hook sent twice, by several threads, and of what is known already."""
    order, scan = await hospital.ordered("H1")
    hospital.send(scan, 2)
    await hospital.study(scan, based_on)
    (there,) = await archive.studies_of(scan.study)
    body = json.dumps({"change": "stable", "study": there.id}).encode()
    moment = str(int(time.time()))
    headers = {"X-Hint-Time": moment, "X-Hint-Signature": signature(SECRET, moment, body)}
    for _ in range(3):
        answers = await asyncio.gather(
            *(
                hospital.client.post(f"http://test{PATH}", content=body, headers=headers)
                for _ in range(8)
            )
        )
        assert {each.status_code for each in answers} == {204}
        await asyncio.sleep(0.3)
    study = await hospital.study(scan)
    assert study["meta"]["versionId"] == "1"
    steps = await hospital.all(f"Provenance?target=ServiceRequest/{order['id']}")
    codes = [each["activity"]["coding"][0]["code"] for each in steps]
    assert codes.count("complete") == 1


async def test_an_archive_that_overwrites_has_lost_nothing(
    own_database: str, start_orthanc: StartOrthanc, tmp_path: Path
) -> None:
    """Hazard: overwritten in Orthanc, which tells of a deletion then and of a new instance."""
    orthanc = start_orthanc(OverwriteInstances=True)
    async with served(own_database, orthanc) as client:
        hospital = Hospital(client, orthanc, tmp_path)
        archive = Orthanc(orthanc.settings)
        order, scan = await hospital.ordered("H2")
        (dataset,) = series(scan)
        await archive.store(content(dataset))
        await hospital.study(scan, based_on)
        dataset.StudyDescription = "Corrected"
        await archive.store(content(dataset))
        study = await hospital.study(scan, lambda found: found.get("description") == "Corrected")
        assert study["status"] == "available"
        assert study["numberOfInstances"] == 1
        assert based_on(study) == [f"ServiceRequest/{order['id']}"]
        assert await hospital.all(f"AuditEvent?entity=ImagingStudy/{scan.study}&action=D") == []
        await archive.close()


async def test_a_huge_file_goes_through_in_pieces_and_comes_back_whole(
    hospital: Hospital, archive: Orthanc
) -> None:
    """Hazard: huge files; larger than what is held in memory."""
    scan = Scan()
    found = series(scan, 2)
    for each in found:
        each.Rows, each.Columns = 2048, 4096
        each.PixelData = bytes(each.Rows * each.Columns)
    files = [content(each) for each in found]
    outcome, _, told = parts(await upload(hospital.client, files))
    assert outcome == "success"
    for dataset, data, file in zip(found, files, told, strict=True):
        assert file["md5"] == md5(data)
        id_ = await archive.instance_of(dataset.SOPInstanceUID)
        assert id_ is not None
        assert await archive.md5(id_) == md5(data)
    study = await hospital.study(scan)
    assert study["numberOfInstances"] == 2


async def test_no_log_tells_of_patients(
    hospital: Hospital, archive: Orthanc, caplog: pytest.LogCaptureFixture
) -> None:
    """Hazard: PHI in logs; whatever happens to images, and whatever is wrong with them."""
    name, number = "Geheimnis^Gesine", "MRN-GEHEIM-7"
    with caplog.at_level(logging.INFO):
        _, scan = await hospital.ordered(number)
        wrong = Scan(scan.accession, "MRN-GEHEIM-8", name=name)
        (image,) = series(wrong)
        await archive.store(content(image))
        await hospital.conflict(wrong, "patient-mismatch")
        image.PatientName = name + "^Other"
        broken = content(image)[:-10]
        answer = await upload(hospital.client, {"Geheimnis.dcm": content(image), "x": broken})
        assert answer.status_code == 422
        other = Scan(scan.accession, "MRN-GEHEIM-9", name=name, study=wrong.study)
        await archive.store(content(series(other)[0]))
        await hospital.conflict(wrong, "shared-study-uid")
        query = f"ImagingStudy?patient.identifier={number}"
        assert (await hospital.client.get(query)).status_code == 200
        assert (await hospital.client.get(f"ImagingStudy/{generate_uid()}")).status_code == 404
    # What the client of the test itself logs is not of the server.
    logged = [
        each.getMessage() for each in caplog.records if "http://test" not in each.getMessage()
    ]
    assert logged
    text = "\n".join(logged).lower()
    for secret in ("geheim", scan.accession.lower()):
        assert secret not in text
