"""Whatever fails, the end is that of an undisturbed run, and nothing is there twice."""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fhir_server.dicom.hints import PATH, signature
from fhir_server.dicom.local import LocalOrthanc
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.dicom.taking import Taking
from fhir_server.storage import archive as archive_tables
from fhir_server.storage.embedded import EmbeddedPostgres
from fhir_server.storage.migrate import migrate
from tests.dicom.conftest import StartOrthanc, kill
from tests.dicom.hospital import Hospital, based_on, served
from tests.dicom.images import Scan, series, write
from tests.operations.calling import answered
from tests.workflow.stepping import call

SECRET = "hints-are-signed-with-this"
ID = "-".join(["0123abcd"] * 5)


@pytest.fixture(scope="module")
async def hospital(
    database: str, orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hospital]:
    """A server, an Orthanc and a folder of the module's own."""
    async with served(database, orthanc, orthanc_hint_secret=SECRET) as client:
        yield Hospital(client, orthanc, tmp_path_factory.mktemp("images"))


@pytest.fixture
def own_postgres() -> Iterator[tuple[str, Path]]:
    """A database to be killed, and the file with its process."""
    with tempfile.TemporaryDirectory(prefix="fhir-test-") as directory:
        Path(directory).chmod(0o755)
        embedded = EmbeddedPostgres(Path(directory))
        url = embedded.start()
        migrate(url)
        embedded.watch(every=0.1)
        yield url, Path(directory) / "postgres" / "postmaster.pid"
        embedded.stop()


async def completions(hospital: Hospital, order_id: str) -> int:
    """How many times an order was completed."""
    steps = await hospital.all(f"Provenance?target=ServiceRequest/{order_id}")
    codes = [each["activity"]["coding"][0]["code"] for each in steps]
    return codes.count("complete")


async def health(hospital: Hospital) -> dict[str, object]:
    """What the health page tells."""
    answer = await hospital.client.get("http://test/health/ready")
    assert answer.status_code == 200
    found: dict[str, object] = answer.json()
    return found


async def until_health(hospital: Hospital, text: str) -> dict[str, object]:
    """The health page, once it tells something of the archive."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        found = await health(hospital)
        if text in str(found["archive"]):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{text!r} is not told: {found}")


async def test_a_stable_study_that_was_never_told_is_found(hospital: Hospital) -> None:
    """Hazard: lost StableStudy; Orthanc killed inside the stable window."""
    order, scan = await hospital.ordered("F1")
    hospital.send(scan, 3)
    kill(hospital.orthanc)
    hospital.orthanc.start()
    study = await hospital.study(scan, based_on)
    assert (study["numberOfInstances"], study["meta"]["versionId"]) == (3, "1")
    assert await hospital.state(order["id"]) == "completed"
    assert await completions(hospital, order["id"]) == 1


async def test_dcm_8_an_absent_archive_takes_nothing_down_and_loses_nothing(
    hospital: Hospital,
) -> None:
    """Hazard: Orthanc down."""
    order, scan = await hospital.ordered("F2")
    hospital.send(scan)
    hospital.orthanc.stop()
    found = await until_health(hospital, "cannot be used")
    assert found["status"] == "ok"
    assert (await hospital.client.get("Patient?_summary=count")).status_code == 200
    assert await metric(hospital, "fhir_archive_up") == 0
    hospital.orthanc.start()
    await hospital.study(scan, based_on)
    assert await completions(hospital, order["id"]) == 1
    assert (await until_health(hospital, "ok"))["status"] == "ok"


async def metric(hospital: Hospital, name: str) -> float:
    """A metric, once it has had time to change."""
    end = time.monotonic() + 3
    value = 1.0
    while time.monotonic() < end and value:
        text = (await hospital.client.get("http://test/metrics")).text
        families = {each.name: each for each in text_string_to_metric_families(text)}
        value = families[name].samples[0].value
        await asyncio.sleep(0.05)
    return value


async def test_a_killed_database_loses_no_study(
    orthanc: LocalOrthanc, own_postgres: tuple[str, Path], tmp_path: Path
) -> None:
    """Hazard: PostgreSQL killed inside the stable window."""
    url, pid_file = own_postgres
    async with served(url, orthanc) as client:
        hospital = Hospital(client, orthanc, tmp_path)
        order, scan = await hospital.ordered("F8")
        hospital.send(scan, 3)
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        study = await hospital.study(scan, based_on)
        assert (study["numberOfInstances"], study["meta"]["versionId"]) == (3, "1")
        assert await completions(hospital, order["id"]) == 1


async def test_a_study_that_was_held_when_the_database_went_does_not_wait_for_its_lease(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[str] = []

    def going(name: str, real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def go(*given: Any, **named: Any) -> Any:
            if ["take", "put_off"][: len(gone) + 1] == [*gone, name]:
                gone.append(name)
                raise psycopg.OperationalError("the database is gone")
            return await real(*given, **named)

        return go

    put_off = archive_tables.put_off
    monkeypatch.setattr(Taking, "take", going("take", Taking.take))
    monkeypatch.setattr(archive_tables, "put_off", going("put_off", put_off))
    order, scan = await hospital.ordered("F9")
    hospital.send(scan, 3)
    # It was held for two minutes, which is longer than this waits.
    study = await hospital.study(scan, based_on)
    assert gone == ["take", "put_off"]
    assert study["meta"]["versionId"] == "1"
    assert await completions(hospital, order["id"]) == 1


async def test_a_deletion_in_the_archive_is_noticed(hospital: Hospital, archive: Orthanc) -> None:
    """Hazard: deleted in Orthanc, which no change tells of."""
    order, scan = await hospital.ordered("F3")
    hospital.send(scan)
    await hospital.study(scan, based_on)
    (there,) = await archive.studies_of(scan.study)
    await archive.delete_study(there.id)
    study = await hospital.study(scan, lambda found: found["status"] == "cancelled")
    assert based_on(study) == [f"ServiceRequest/{order['id']}"]
    (event,) = await hospital.all(f"AuditEvent?entity=ImagingStudy/{scan.study}")
    assert (event["action"], event["outcome"]) == ("D", "0")
    hospital.send(scan)
    await hospital.study(scan, lambda found: found["status"] == "available")


async def test_a_deletion_asked_for_while_the_archive_is_away_is_done_later(
    hospital: Hospital, archive: Orthanc
) -> None:
    """Hazard: delete by our API, crash between two systems."""
    _, scan = await hospital.ordered("F4")
    hospital.send(scan)
    await hospital.study(scan, based_on)
    hospital.orthanc.stop()
    reason = "Images of the wrong patient"
    target = f"ImagingStudy/{scan.study}"
    answer = await call(hospital.client, target, "delete-study", reason=reason)
    assert answered("ImagingStudy-delete-study", answer)["status"] == "cancelled"
    hospital.orthanc.start()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        events = await hospital.all(f"AuditEvent?entity={target}&outcome=0")
        if events:
            break
        await asyncio.sleep(0.05)
    assert await archive.studies_of(scan.study) == []
    assert (await hospital.study(scan))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "skew", "secret", "status"),
    [
        ({"change": "stable", "study": ID}, 0, SECRET, 204),
        ({"change": "stable", "study": ID}, 0, "another", 403),
        ({"change": "stable", "study": ID}, -3600, SECRET, 403),
        ({"change": "stable", "study": "../../system"}, 0, SECRET, 400),
        ({"change": "stable"}, 0, SECRET, 400),
        ({"change": "x" * 2000, "study": ID}, 0, SECRET, 403),
    ],
)
async def test_a_hint_is_signed_and_names_nothing_but_a_study(
    hospital: Hospital, body: dict[str, str], skew: int, secret: str, status: int
) -> None:
    """Hazard: path and SSRF; the hook's endpoint."""
    content = json.dumps(body).encode()
    moment = str(int(time.time()) + skew)
    headers = {"X-Hint-Time": moment, "X-Hint-Signature": signature(secret, moment, content)}
    answer = await hospital.client.post(f"http://test{PATH}", content=content, headers=headers)
    assert answer.status_code == status


async def test_an_archive_that_lost_its_disk_deletes_nothing_here(
    hospital: Hospital, archive: Orthanc, start_orthanc: StartOrthanc, tmp_path: Path
) -> None:
    """Hazard: deleted in Orthanc, too much at once."""
    scans = [Scan("", f"F5-{number}") for number in range(25)]
    for scan in scans:
        (path,) = write(tmp_path, series(scan))
        await archive.store(path.read_bytes())
    for scan in scans:
        await hospital.study(scan)
    old = hospital.orthanc
    kill(old)
    old.folder = old.folder / "empty"
    (old.folder).mkdir()
    (old.folder / "password").write_text((old.folder.parent / "password").read_text())
    old.start()
    await until_health(hospital, "missing")
    for scan in scans:
        assert (await hospital.study(scan))["status"] == "available"
