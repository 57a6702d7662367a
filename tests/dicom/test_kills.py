"""`kill -9` of each part while images come in or are taken in: the end is as if nothing had been.

Real processes everywhere: our server, Orthanc, PostgreSQL.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.dicom.local import LocalOrthanc
from fhir_server.storage.embedded import EmbeddedPostgres
from fhir_server.storage.migrate import migrate
from tests.conftest import FHIR_JSON, RunningServer, free_port, running_server
from tests.dicom.conftest import StartOrthanc, kill
from tests.dicom.hospital import MRN, WITHIN, Hospital, based_on
from tests.dicom.images import Scan, series
from tests.uploads.sending import content, md5, parts

FILES = 400
STUDIES = 12


@dataclass(slots=True)
class Site:
    """All processes, and how to start what was killed."""

    orthanc: LocalOrthanc
    folder: Path
    database: str
    postmaster: Path
    port: int

    @property
    def root(self) -> str:
        """Of our server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def spool(self) -> Path:
        """Where files of uploads lie meanwhile."""
        return self.folder / "spool"

    @contextmanager
    def server(self) -> Iterator[RunningServer]:
        """Our server."""
        options = [
            "--workers", "1", "--orthanc-url", self.orthanc.url,
            "--orthanc-user", self.orthanc.settings.user, "--orthanc-poll", "0.2",
            "--orthanc-compare", "1", "--upload-dir", str(self.spool),
            "--patient-id-issuers", f"MAIN={MRN}",
        ]  # fmt: skip
        secrets = {
            "FHIR_SERVER_DATABASE_URL": self.database,
            "FHIR_SERVER_ORTHANC_PASSWORD": self.orthanc.settings.password,
        }
        with pytest.MonkeyPatch.context() as environment:
            for name, value in secrets.items():
                environment.setenv(name, value)
            with running_server(self.folder, *options, port=self.port) as server:
                yield server

    @asynccontextmanager
    async def hospital(self) -> AsyncIterator[Hospital]:
        """A client of our server, whoever runs it."""
        async with httpx.AsyncClient(
            base_url=f"{self.root}/fhir/", headers=FHIR_JSON, timeout=30
        ) as client:
            yield Hospital(client, self.orthanc, self.folder / "images")

    async def received(self) -> int:
        """How many instances the archive has."""
        settings = self.orthanc.settings
        async with httpx.AsyncClient(auth=(settings.user, settings.password)) as client:
            found = await client.get(f"{settings.url}/statistics")
        return int(found.json()["CountInstances"])


@pytest.fixture(scope="module")
def site(start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests, with a PostgreSQL that is started again when it dies."""
    with tempfile.TemporaryDirectory(prefix="fhir-test-") as directory:
        Path(directory).chmod(0o755)
        embedded = EmbeddedPostgres(Path(directory))
        url = embedded.start()
        migrate(url)
        embedded.watch(every=0.1)
        postmaster = Path(directory) / "postgres" / "postmaster.pid"
        folder = tmp_path_factory.mktemp("site")
        yield Site(start_orthanc(), folder, url, postmaster, free_port())
        embedded.stop()


def killed(server: RunningServer) -> None:
    """Our server, and its workers, which otherwise end what they are at first."""
    pid = server.process.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    server.process.kill()
    for each in workers:
        os.kill(int(each), signal.SIGKILL)
    server.process.wait()


async def upload(site: Site, files: Sequence[bytes]) -> httpx.Response:
    """All files in one request."""
    form = [("file", (f"IM{number}", data)) for number, data in enumerate(files)]
    async with httpx.AsyncClient(timeout=60) as client:
        # A multipart body of httpx is not for asynchronous clients unless it is read before.
        request = httpx.Request("POST", f"{site.root}/dicom/uploads", files=form)
        return await client.send(httpx.Request(
            "POST", request.url, headers=request.headers, content=request.read()
        ))  # fmt: skip


async def seen(hospital: Hospital, order: dict[str, Any], scan: Scan) -> dict[str, Any]:
    """All that became of an order and its study, without ids and times."""
    target = f"ImagingStudy/{scan.study}"
    study = await hospital.read(target)
    steps = await hospital.all(f"Provenance?target=ServiceRequest/{order['id']}&_count=100")
    codes = sorted(each["activity"]["coding"][0]["code"] for each in steps)
    links = await hospital.all(f"Provenance?target={target}&_count=100")
    return {
        "status": study["status"],
        "series": study["numberOfSeries"],
        "instances": study["numberOfInstances"],
        "linked": based_on(study) == [f"ServiceRequest/{order['id']}"],
        "state": await hospital.state(order["id"]),
        "steps": codes,
        "links": len(links),
        "tasks": len(await hospital.all(f"Task?code=settle-study&focus={target}")),
        "lost": len(await hospital.all(f"AuditEvent?entity={target}&action=D")),
    }


async def is_linked(hospital: Hospital, scan: Scan, count: int) -> None:
    """Return once a study has so many images and its order."""
    await hospital.study(
        scan, lambda found: based_on(found) and found["numberOfInstances"] == count
    )


async def uploaded_undisturbed(site: Site) -> dict[str, Any]:
    async with site.hospital() as hospital:
        order, scan = await hospital.ordered("U0")
        answer = await upload(site, [content(each) for each in series(scan, FILES)])
        assert {each["status"] for each in parts(answer)[2]} == {"stored"}
        await is_linked(hospital, scan, FILES)
        return await seen(hospital, order, scan)


async def sent_again(
    site: Site, hospital: Hospital, order: dict[str, Any], scan: Scan, files: Sequence[bytes]
) -> dict[str, Any]:
    """What is there once the same upload was made again."""
    outcome, told = "", list[dict[str, Any]]()
    while outcome != "success":
        # Until then an archive that was away may not be asked for a moment.
        answer = await upload(site, files)
        if answer.status_code != 503:
            outcome, _, told = parts(answer)
    assert {each["status"] for each in told} <= {"stored", "already-stored"}
    assert [each["md5"] for each in told] == [md5(each) for each in files]
    await is_linked(hospital, scan, FILES)
    assert os.listdir(site.spool) == []
    return await seen(hospital, order, scan)


async def test_our_server_killed_during_an_upload(site: Site) -> None:
    """Hazard: kill -9 of our server while files come in."""
    with site.server() as server:
        expected = await uploaded_undisturbed(site)
        before = await site.received()
        async with site.hospital() as hospital:
            order, scan = await hospital.ordered("U1")
        files = [content(each) for each in series(scan, FILES)]
        task = asyncio.create_task(upload(site, files))
        while await site.received() == before:
            assert not task.done(), "the upload was too fast for this test"
        killed(server)
        with pytest.raises(httpx.TransportError):
            await task
    there = await site.received() - before
    assert 0 < there < FILES
    assert os.listdir(site.spool) != [], "a killed process cannot take its files away"
    with site.server():
        assert os.listdir(site.spool) == [], "the next one does"
        async with site.hospital() as hospital:
            # What came is not kept back until somebody sends the rest.
            await is_linked(hospital, scan, there)
            assert await sent_again(site, hospital, order, scan, files) == expected
    assert await site.received() == before + FILES


async def test_orthanc_killed_during_an_upload(site: Site) -> None:
    """Hazard: kill -9 of Orthanc while files come in: each file's report says what became of it."""
    with site.server():
        expected = await uploaded_undisturbed(site)
        before = await site.received()
        async with site.hospital() as hospital:
            order, scan = await hospital.ordered("U2")
            files = [content(each) for each in series(scan, FILES)]
            task = asyncio.create_task(upload(site, files))
            while await site.received() == before:
                assert not task.done(), "the upload was too fast for this test"
            kill(site.orthanc)
            _, _, told = parts(await task)
            stored = [each["md5"] for each in told if each["status"] == "stored"]
            assert {each["code"] for each in told if each["status"] != "stored"} == {"archive-away"}
            assert 0 < len(stored) < FILES
            site.orthanc.start()
            # One whose answer was lost may be there too; none that was told as stored is missing.
            assert await site.received() - before >= len(stored)
            assert await sent_again(site, hospital, order, scan, files) == expected
    assert await site.received() == before + FILES


async def sent(site: Site, hospital: Hospital, mark: str) -> list[tuple[dict[str, Any], Scan]]:
    """Orders whose studies the archive gets at the same time."""
    found = [await hospital.ordered(f"{mark}{number}") for number in range(STUDIES)]
    settings = site.orthanc.settings
    async with httpx.AsyncClient(auth=(settings.user, settings.password)) as client:
        for _, scan in found:
            for each in series(scan, 3):
                answer = await client.post(f"{settings.url}/instances", content=content(each))
                assert answer.status_code == 200
    return found


async def count(hospital: Hospital) -> int:
    """How many studies stand in FHIR."""
    return int((await hospital.read("ImagingStudy?_summary=count"))["total"])


async def until_some_are_taken(hospital: Hospital, known: int) -> None:
    """Return when the bridge is at work, and has more to do."""
    for _ in range(int(WITHIN / 0.01)):
        if (now := await count(hospital)) > known + 1:
            assert now < known + STUDIES, "the bridge was too fast for this test"
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing is taken in")


async def at_the_end(
    hospital: Hospital, expected: Sequence[tuple[dict[str, Any], Scan]]
) -> list[dict[str, Any]]:
    """What became of all, and that each study has one version."""
    found = []
    for order, scan in expected:
        await is_linked(hospital, scan, 3)
        found.append(await seen(hospital, order, scan))
        history = await hospital.read(f"ImagingStudy/{scan.study}/_history")
        assert history["total"] == 1, "taken in twice"
    return found


def kill_postgres(site: Site) -> None:
    """All its processes end with the first."""
    os.kill(int(site.postmaster.read_text().split()[0]), signal.SIGKILL)


def kill_orthanc(site: Site) -> None:
    """And start it again."""
    kill(site.orthanc)
    site.orthanc.start()


async def test_a_part_killed_during_the_handover(site: Site) -> None:
    """Hazard: kill -9 of our server, Orthanc or PostgreSQL while studies are taken in."""
    async with site.hospital() as hospital:
        with site.server() as server:
            undisturbed = await at_the_end(hospital, await sent(site, hospital, "A"))
            for name, kill_part in (("B", kill_orthanc), ("C", kill_postgres)):
                known = await count(hospital)
                found = await sent(site, hospital, name)
                await until_some_are_taken(hospital, known)
                kill_part(site)
                assert await at_the_end(hospital, found) == undisturbed, name
            known = await count(hospital)
            found = await sent(site, hospital, "D")
            await until_some_are_taken(hospital, known)
            killed(server)
        with site.server():
            assert await at_the_end(hospital, found) == undisturbed
            assert await count(hospital) == known + STUDIES
