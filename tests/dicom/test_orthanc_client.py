"""The client against a real Orthanc: the traps of its REST API, and its absence."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydicom.uid import generate_uid

from fhir_server.dicom.breaker import ArchiveAway
from fhir_server.dicom.local import DoesNotRun, LocalOrthanc
from fhir_server.dicom.orthanc import ArchiveRefused, Orthanc
from fhir_server.dicom.settings import ArchiveSettings
from tests.dicom.conftest import StartOrthanc
from tests.dicom.images import Scan, requested, series, storescu, write


async def put(archive: Orthanc, scan: Scan, folder: Path, count: int = 1) -> list[str]:
    """Store a series over REST; the ids of its instances."""
    paths = write(folder, series(scan, count))
    return [(await archive.store(path.read_bytes())).id for path in paths]


async def test_a_study_is_found_by_its_uid_and_by_exactly_its_accession_number(
    archive: Orthanc, tmp_path: Path
) -> None:
    scan = Scan("ACC-2026-00001", "P1")
    await put(archive, scan, tmp_path, 2)
    (found,) = await archive.studies_of(scan.study)
    assert (found.uid, found.accession, found.patient_id) == (scan.study, "ACC-2026-00001", "P1")
    assert [each.uid for each in await archive.studies_by("ACC-2026-00001")] == [scan.study]
    assert await archive.studies_by("acc-2026-00001") == []
    assert await archive.study(found.id) == found


@pytest.mark.parametrize("accession", ["X/1", "X 1", "X#1", "X+1", "X%2D1", "X&1", "Ä-1"])
async def test_what_a_url_would_mangle_is_found(
    archive: Orthanc, tmp_path: Path, accession: str
) -> None:
    """Trap 1: queries are not decoded."""
    scan = Scan(accession)
    await put(archive, scan, tmp_path)
    assert [each.uid for each in await archive.studies_by(accession)] == [scan.study]


@pytest.mark.parametrize("accession", ["", " ", "ACC*", "ACC-2026-0000?", "A\\B"])
async def test_what_finds_more_than_itself_is_never_asked_for(
    archive: Orthanc, accession: str
) -> None:
    """Traps 2 and 3: empty values find everything, `*`, `?` and a backslash find others."""
    with pytest.raises(ValueError, match="would find more"):
        await archive.studies_by(accession)


async def test_a_stored_accession_number_with_a_wildcard_is_no_pattern(
    archive: Orthanc, tmp_path: Path
) -> None:
    """Trap 3, the other way round."""
    await put(archive, Scan("W*Z"), tmp_path)
    assert await archive.studies_by("WXZ") == []


@pytest.mark.parametrize("name", ["..", "%2e%2e/system", "1.2/../../system", "", "0" * 65, "1..2"])
async def test_no_path_leads_out_of_the_archive(archive: Orthanc, name: str) -> None:
    """Trap 4: dots in paths are resolved, even encoded."""
    with pytest.raises(ValueError, match="expected"):
        await archive.studies_of(name)
    with pytest.raises(ValueError, match="expected"):
        await archive.study(name)
    with pytest.raises(ValueError, match="expected"):
        await archive.delete_study(name)


async def test_a_file_stored_twice_says_so_and_its_sum_tells_it_from_another(
    archive: Orthanc, tmp_path: Path
) -> None:
    """Same SOP UID, other bytes: the native store is honest, unlike STOW."""
    (image,) = series(Scan("SAME"))
    (path,) = write(tmp_path, [image])
    first = await archive.store(path.read_bytes())
    again = await archive.store(path.read_bytes())
    assert (first.status, again.status) == ("Success", "AlreadyStored")
    assert await archive.md5(first.id) == hashlib.md5(path.read_bytes()).hexdigest()
    image.InstanceNumber = 99
    (other,) = write(tmp_path, [image])
    third = await archive.store(other.read_bytes())
    assert third.status == "AlreadyStored"
    assert await archive.md5(third.id) != hashlib.md5(other.read_bytes()).hexdigest()


async def test_a_file_can_be_streamed_into_the_archive(archive: Orthanc, tmp_path: Path) -> None:
    (path,) = write(tmp_path, series(Scan("STREAM")))
    content = path.read_bytes()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100):
            yield content[start : start + 100]

    stored = await archive.store(pieces())
    assert stored.status == "Success"
    assert await archive.md5(stored.id) == hashlib.md5(content).hexdigest()


async def test_what_is_no_dicom_is_refused(archive: Orthanc) -> None:
    with pytest.raises(ArchiveRefused):
        await archive.store(b"no image")


async def test_tags_of_a_series_have_sequences_and_no_pixels(
    archive: Orthanc, tmp_path: Path
) -> None:
    scan = Scan("TAGS").with_(RequestAttributesSequence=requested(["A1", "A2"]))
    ids = await put(archive, scan, tmp_path, 3)
    (study,) = await archive.studies_of(scan.study)
    tags = await archive.series_tags(study.series[0])
    assert set(tags) == set(ids)
    some = tags[ids[0]]
    assert [each["0008,0050"] for each in some["0040,0275"]] == ["A1", "A2"]
    assert some["0010,0010"] == "Doe^Jane"
    assert not some.get("7fe0,0010")


async def test_every_study_is_listed_over_several_pages(archive: Orthanc, tmp_path: Path) -> None:
    """The 101st study is seen."""
    for number in range(5):
        await put(archive, Scan(f"PAGE{number}"), tmp_path / str(number))
    found = [each.accession async for each in archive.studies(page=2)]
    assert len(found) == len(set(found))
    assert {f"PAGE{number}" for number in range(5)} <= set(found)


async def test_a_deleted_study_is_gone_and_deleting_it_again_is_no_error(
    archive: Orthanc, tmp_path: Path
) -> None:
    scan = Scan("GONE")
    await put(archive, scan, tmp_path)
    (study,) = await archive.studies_of(scan.study)
    for _ in range(2):
        await archive.delete_study(study.id)
    assert await archive.study(study.id) is None
    assert await archive.studies_of(scan.study) == []


async def test_a_device_can_send_and_the_change_is_told(
    orthanc: LocalOrthanc, archive: Orthanc, tmp_path: Path
) -> None:
    before = await archive.last_change()
    scan = Scan("SENT")
    storescu(orthanc.dicom_port, write(tmp_path, series(scan, 2)))
    (study,) = await archive.studies_of(scan.study)
    async with asyncio.timeout(10):
        while True:
            found = await archive.changes(before)
            if ("StableStudy", study.id) in {(row.kind, row.id) for row in found.rows}:
                break
            await asyncio.sleep(0.1)
    assert found.last > before
    assert found.done


async def test_an_absent_archive_is_503_with_a_time_to_come_back() -> None:
    archive = Orthanc(ArchiveSettings("http://127.0.0.1:9", "u", "p"))
    for _ in range(5):
        with pytest.raises(ArchiveAway) as refused:
            await archive.system()
        assert refused.value.status == 503
        assert refused.value.headers == {"Retry-After": "5"}
    assert "a moment ago" in str(refused.value)
    await archive.close()


async def test_wrong_credentials_are_no_answer(orthanc: LocalOrthanc) -> None:
    archive = Orthanc(ArchiveSettings(orthanc.url, "someone", "else"))
    with pytest.raises(ArchiveAway, match="credentials"):
        await archive.system()
    await archive.close()


async def test_a_connection_that_the_archive_closed_meanwhile_is_no_fault(
    orthanc: LocalOrthanc,
) -> None:
    """It closes those that were quiet for a while, as the next request is on its way."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) % 3:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return httpx.Response(200, json={"Last": 7})

    archive = Orthanc(ArchiveSettings(orthanc.url), transport=httpx.MockTransport(answer))
    assert await archive.last_change() == 7
    async with archive.stream("/changes") as response:
        assert response.status_code == 200
    assert len(asked) == 6
    await archive.close()


async def test_nothing_an_archive_says_of_errors_goes_on(orthanc: LocalOrthanc) -> None:
    """Hazard: XSS, PHI in logs; old error pages name patients and have no content type."""
    page = httpx.MockTransport(lambda _: httpx.Response(500, text="Doe^Jane"))
    archive = Orthanc(ArchiveSettings(orthanc.url), transport=page)
    with pytest.raises(ArchiveAway) as refused:
        await archive.studies_of(str(generate_uid()))
    assert "Doe" not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/changes"),
        ("DELETE", "/./changes"),
        ("PUT", "/modalities/evil"),
        ("PUT", "/peers/evil"),
        ("POST", "/dicom-web/servers/evil"),
        ("PUT", "/dicom-web/servers/evil"),
        ("POST", "/tools/shutdown"),
        ("POST", "/tools/reset"),
        ("POST", "/tools/execute-script"),
        ("PUT", "/tools/log-level"),
        ("PUT", "/tools/log-level-http"),
        ("POST", "/dicom-web/%2e%2e/tools/shutdown"),
    ],
)
def test_dangerous_routes_are_closed(orthanc: LocalOrthanc, method: str, path: str) -> None:
    """The administration would be a way to other machines, or to stop Orthanc."""
    auth = (orthanc.settings.user, orthanc.settings.password)
    answer = httpx.request(method, f"{orthanc.url}{path}", auth=auth, content=b"{}")
    assert answer.status_code == 403
    assert httpx.get(f"{orthanc.url}/system", auth=auth).status_code == 200


def test_an_archive_that_forgets_patients_does_not_start(start_orthanc: StartOrthanc) -> None:
    with pytest.raises(DoesNotRun, match="ended at once"):
        start_orthanc(MaximumPatientCount=10)
