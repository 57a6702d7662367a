"""DCM-2: files sent through the server are in the archive byte for byte, or it is said why not."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom import dcmread

from fhir_server.dicom.local import LocalOrthanc
from fhir_server.dicom.orthanc import Orthanc
from tests.answers import resource_of
from tests.dicom.conftest import kill
from tests.dicom.hospital import Hospital
from tests.dicom.images import Scan, series
from tests.uploads.sending import content, files, md5, parts, upload, zipped
from tests.workflow.ordering import accession

SHIPPED = Path(pydicom.__file__).parent / "data"
REFUSED = {
    "DICOMDIR": "directory",
    "MR_truncated.dcm": "truncated",
    "rtplan_truncated.dcm": "truncated",
    "rtstruct.dcm": "not-dicom",
    "no_meta.dcm": "not-dicom",
    "ExplVR_LitEndNoMeta.dcm": "not-dicom",
    "meta_missing_tsyntax.dcm": "no-transfer-syntax",
    "hotiron.dcm": "missing-uid",
    "UN_sequence.dcm": "missing-uid",
    "crayons.icc": "not-dicom",
}


def shipped() -> list[Path]:
    """Everything that pydicom brings along."""
    folders = (SHIPPED / "test_files", SHIPPED / "charset_files", SHIPPED / "palettes")
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in found if path.suffix not in (".py", ".pyc", ".json")]


async def in_archive(orthanc: LocalOrthanc, instance: str) -> set[str]:
    """The MD5s that the archive has under the UID of an instance; two patients may share it."""
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": instance.removeprefix("urn:oid:")}}
    auth = (orthanc.settings.user, orthanc.settings.password)
    async with httpx.AsyncClient(base_url=orthanc.url, auth=auth, trust_env=False) as client:
        ids = (await client.post("/tools/find", json=query)).json()
        found = [await client.get(f"/instances/{each}/attachments/dicom/md5") for each in ids]
    return {each.text for each in found}


async def test_every_file_that_pydicom_ships_is_kept_byte_for_byte_or_refused_with_a_reason(
    client: httpx.AsyncClient, orthanc: LocalOrthanc
) -> None:
    """Hazard: compressed syntaxes are stored untouched; corrupted files are refused."""
    paths = shipped()
    assert len(paths) > 90
    taken, refused = 0, {}
    for start in range(0, len(paths), 110):
        some = paths[start : start + 110]
        sent = {f"{number}-{path.name}": path.read_bytes() for number, path in enumerate(some)}
        _, _, found = parts(await upload(client, sent))
        assert len(found) == len(some)
        for file in found:
            data = sent[file["name"]]
            if file["status"] == "stored":
                taken += 1
                assert md5(data) in await in_archive(orthanc, file["instance"]), file["name"]
            elif file["status"] == "already-stored":
                assert md5(data) in await in_archive(orthanc, file["instance"]), file["name"]
            else:
                assert file["reason"], file["name"]
                refused[file["name"].partition("-")[2]] = file["code"]
    assert taken > 60
    assert {name: refused.get(name) for name in REFUSED} == REFUSED
    assert set(refused.values()) <= {
        "directory", "truncated", "not-dicom", "no-transfer-syntax", "missing-uid",
        "not-readable", "duplicate-uid", "archive-refused",
    }  # fmt: skip


def corruptions() -> Iterator[tuple[str, str, bytes]]:
    """Seven ways in which a file is broken: name, code that tells it, bytes."""
    (good,) = files()
    pixels = good.index(b"\xe0\x7f\x10\x00")
    yield "empty", "not-dicom", b""
    yield "picture", "not-dicom", b"\x89PNG\r\n\x1a\n" + bytes(500)
    yield "page", "not-dicom", b"<html><body>DICM</body></html>" * 20
    yield "noise", "not-readable", bytes(128) + b"DICM" + bytes(range(256)) * 2
    yield "header", "missing-uid", good[:330]
    yield "pixels", "truncated", good[:-30]
    short = series(Scan())[0]
    short.PixelData = bytes(32)
    yield "short pixels", "truncated", content(short)
    assert pixels


@pytest.mark.parametrize(
    ("name", "code", "data"), list(corruptions()), ids=lambda each: str(each)[:12]
)
async def test_seven_kinds_of_corruption_are_caught(
    client: httpx.AsyncClient, name: str, code: str, data: bytes
) -> None:
    """Hazard: corrupted files."""
    outcome, _, (file,) = parts(await upload(client, {name: data}), 422)
    assert outcome == "failed"
    assert file["status"] == "refused"
    expected = {code} | ({"no-transfer-syntax", "truncated", "missing-uid"}
                         if code in ("not-readable", "missing-uid") else set())  # fmt: skip
    assert file["code"] in expected


async def test_a_file_whose_uid_the_archive_has_with_other_bytes_is_refused(
    client: httpx.AsyncClient, orthanc: LocalOrthanc
) -> None:
    """Hazard: same SOPInstanceUID, different bytes: an archive says success and keeps the old."""
    (dataset,) = series(Scan())
    first = content(dataset)
    dataset.PatientName = "Other"
    second = content(dataset)
    outcome, _, (file,) = parts(await upload(client, [first]))
    assert (outcome, file["status"]) == ("success", "stored")
    outcome, _, (file,) = parts(await upload(client, [first]))
    assert (outcome, file["status"]) == ("success", "already-stored")
    outcome, _, (file,) = parts(await upload(client, [second]), 422)
    assert (outcome, file["code"]) == ("failed", "duplicate-uid")
    assert await in_archive(orthanc, str(dataset.SOPInstanceUID)) == {md5(first)}


async def test_files_are_corrected_to_their_order_and_linked_to_it(hospital: Hospital) -> None:
    at = await hospital.patient("U-1", name=[{"family": "Łąka", "given": ["Ján"]}])
    order = await hospital.order(at)
    scan = Scan("WRONG", "SOMEBODY", name="No^Name").with_(
        InstitutionName="Größe", SpecificCharacterSet="ISO_IR 100"
    )
    datasets = series(scan, 2)
    for each in datasets:
        block = each.private_block(0x0009, "SECRET", create=True)
        block.add_new(1, "LO", "secret patient note")
    answer = await upload(
        hospital.client, map(content, datasets),
        order=f"ServiceRequest/{order['id']}", source="cd-import", **{"remove-private": "true"},
    )  # fmt: skip
    outcome, record, found = parts(answer)
    assert outcome == "success"
    assert "PatientName" in found[0]["corrected"]
    archive = Orthanc(hospital.orthanc.settings)
    id_ = await archive.instance_of(found[0]["instance"].removeprefix("urn:oid:"))
    async with archive.stream(f"/instances/{id_}/file") as answer_:
        stored = b"".join([chunk async for chunk in answer_.aiter_bytes()])
    await archive.close()
    assert hashlib.md5(stored, usedforsecurity=False).hexdigest() == found[0]["md5"]
    dataset = dcmread(io.BytesIO(stored))
    assert str(dataset.PatientName) == "Łąka^Ján"
    assert dataset.PatientID == "U-1"
    assert dataset.PatientBirthDate == "19700101"
    assert dataset.AccessionNumber == accession(order)
    assert dataset.StudyDescription == "Chest, two views"
    assert dataset.InstitutionName == "Größe"
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert (0x0009, 0x1001) not in dataset
    assert dataset.PixelData == datasets[0].PixelData
    study = await hospital.study(
        scan, lambda each: each.get("basedOn") and each.get("numberOfInstances") == 2
    )
    assert study["basedOn"][0]["reference"] == f"ServiceRequest/{order['id']}"
    assert study["subject"]["reference"] == at.patient
    event = await hospital.read(record)
    details = {each["type"]: each["valueString"] for each in event["entity"][2]["detail"]}
    assert details["original PatientID"] == "SOMEBODY"
    assert details["modified PatientID"] == "U-1"
    assert details["original AccessionNumber"] == "WRONG"
    assert details["private-removed"] == "2"


async def test_uploads_are_found_by_source_outcome_patient_study_and_time(
    hospital: Hospital,
) -> None:
    client = hospital.client
    at = await hospital.patient("U-2")
    order = await hospital.order(at)
    scan = Scan()
    sent = {"good.dcm": files(1, scan)[0], "../../evil.txt": b"no image"}
    answer = await upload(client, sent, order=f"ServiceRequest/{order['id']}", source="manual")
    outcome, record, (good, bad) = parts(answer)
    assert outcome == "partial"
    assert (good["status"], bad["status"]) == ("stored", "refused")
    assert bad["name"] == "evil.txt"
    id_ = record.partition("/")[2]
    event = resource_of(await client.get(record))
    assert event["period"]["start"] <= event["period"]["end"]
    assert event["agent"][0]["who"] == {"display": "local administrator"}
    searches = [
        "subtype=manual&outcome=4",
        f"patient={at.patient}",
        f"entity=ServiceRequest/{order['id']}",
        f"study=urn:dicom:uid|urn:oid:{scan.study}",
        f"type=dicom-upload&date=ge{event['recorded'][:10]}&outcome=4",
    ]
    for search in searches:
        found = await hospital.all(f"AuditEvent?{search}")
        assert id_ in [each["id"] for each in found], search
    assert await hospital.all(f"AuditEvent?outcome=0&patient={at.patient}") == []


async def test_what_is_asked_for_wrongly_is_refused_and_nothing_is_kept(
    client: httpx.AsyncClient, orthanc: LocalOrthanc
) -> None:
    (dataset,) = series(Scan())
    for query, status in (
        ({"order": "ServiceRequest/none"}, 422),
        ({"order": "http://elsewhere.example/ServiceRequest/1"}, 422),
        ({"source": "fax"}, 400),
        ({"patient": "x"}, 400),
        ({"remove-private": "yes"}, 400),
    ):
        answer = await upload(client, [content(dataset)], **query)
        assert answer.status_code == status, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert await in_archive(orthanc, str(dataset.SOPInstanceUID)) == set()
    assert (await upload(client, [])).status_code in (400, 422)


async def test_a_body_without_its_closing_boundary_is_refused_whole(
    client: httpx.AsyncClient, orthanc: LocalOrthanc
) -> None:
    """Hazard: truncated uploads: an archive says 200 and loses the last file."""
    datasets = series(Scan(), 2)
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="i"\r\n\r\n'
        + content(each) + b"\r\n" for each in datasets
    )  # fmt: skip
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    url = "http://test/dicom/uploads"
    answer = await client.post(url, content=body, headers=headers)
    assert answer.status_code == 400
    assert "closing boundary" in answer.text
    assert await in_archive(orthanc, str(datasets[0].SOPInstanceUID)) == set()
    answer = await client.post(url, content=body + b"--b--\r\n", headers=headers)
    assert parts(answer)[0] == "success"


async def test_limits_of_files_bytes_and_numbers_hold(client: httpx.AsyncClient) -> None:
    """Hazard: huge files, and too many."""
    small = files()[0]
    large = files(1, None, ImageComments="x" * 3_100_000)[0]
    outcome, _, (first, second) = parts(await upload(client, [small, large]))
    assert outcome == "partial"
    assert (first["status"], second["code"]) == ("stored", "too-large")
    assert (await upload(client, [small] * 121)).status_code == 413
    assert (await upload(client, [large] * 3)).status_code == 413


async def test_one_file_and_a_zip_file_need_no_form(client: httpx.AsyncClient) -> None:
    url = "http://test/dicom/uploads"
    (single,) = files()
    headers = {"Content-Type": "application/dicom"}
    outcome, _, found = parts(await client.post(url, content=single, headers=headers))
    assert (outcome, len(found)) == ("success", 1)
    packed = zipped({f"DICOM/S1/IM{number}": each for number, each in enumerate(files(3))})
    headers = {"Content-Type": "application/zip"}
    outcome, _, found = parts(await client.post(url, content=packed, headers=headers))
    assert (outcome, len(found)) == ("success", 3)
    assert found[0]["name"] == "file/IM0"


def link(name: str, target: str) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, target)
    return output.getvalue()


def tricks() -> Iterator[tuple[str, Any, str]]:
    """Zip files that mean no good: name, bytes, and the code that tells it."""
    (good,) = files()
    yield "climbing", zipped({"../../evil.dcm": good}), "path"
    yield "absolute", zipped({"/etc/evil.dcm": good}), "path"
    yield "drive", zipped({"C:\\evil.dcm": good}), "path"
    yield "link", link("evil.dcm", "/etc/passwd"), "link"
    yield "nested", zipped({"inner.zip": zipped({"IM1": good})}), "nested"
    yield "bomb", zipped({"bomb.dcm": bytes(2_900_000)}), "zip-bomb"
    yield "too large", zipped({"large.dcm": bytes(3_100_000)}), "too-large"
    damaged = bytearray(zipped({"a.dcm": good}, zipfile.ZIP_STORED))
    damaged[200] ^= 0xFF
    yield "damaged", bytes(damaged), "not-readable"
    yield "cut", zipped({"a.dcm": good})[:-40], "not-readable"
    yield "junk", zipped({"readme.txt": b"no image"}), "not-dicom"


@pytest.mark.parametrize(
    ("name", "data", "code"), list(tricks()), ids=[name for name, _, _ in tricks()]
)
async def test_zip_tricks_are_refused_by_name(
    client: httpx.AsyncClient, name: str, data: bytes, code: str
) -> None:
    """Hazard: zip uploads."""
    outcome, _, (file,) = parts(await upload(client, {name: data}), 422)
    assert (outcome, file["code"]) == ("failed", code)


async def test_a_zip_file_with_too_many_entries_is_refused(client: httpx.AsyncClient) -> None:
    packed = zipped({f"IM{number}": b"x" for number in range(121)})
    assert (await upload(client, {"many.zip": packed})).status_code == 413


async def test_without_the_archive_uploads_get_503_and_fhir_goes_on(
    hospital: Hospital,
) -> None:
    (data,) = files()
    kill(hospital.orthanc)
    try:
        answer = await upload(hospital.client, [data])
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert (await hospital.client.get("Patient")).status_code == 200
        found = await hospital.all("AuditEvent?outcome=8&_sort=-date&_count=1")
        assert "archive-away" in found[0]["entity"][0]["description"]
    finally:
        hospital.orthanc.start()
    answer = await upload(hospital.client, [data])
    for _ in range(50):
        if answer.status_code == 200:
            break
        answer = await upload(hospital.client, [data])
    assert parts(answer)[0] == "success"
