"""The worklist as files, which dcmtk's own worklist server answers from."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydicom.dataset import Dataset

from fhir_server.worklist.entries import Entries
from fhir_server.worklist.export import Export
from fhir_server.worklist.reading import Found, Wanted, read_steps
from fhir_server.worklist.scp import step_context
from tests.conftest import free_port
from tests.workflow.ordering import accession
from tests.workflow.stepping import step
from tests.worklist.calling import findscu, patient, scheduled, station
from tests.worklist.conftest import TITLE, House


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """wlmscpfs, and the folder whose files it answers from."""
    folder = tmp_path / TITLE
    folder.mkdir()
    (folder / "lockfile").touch()
    port = free_port()
    command = ["wlmscpfs", "-csk", "-dfp", str(tmp_path), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield folder, port
    process.kill()
    process.wait()


async def test_wlmscpfs_answers_from_exported_files_as_we_do(
    house: House, oracle: tuple[Path, int]
) -> None:
    folder, port = oracle
    who = await patient(house.client, "X-1", family="Größe", given=["Jörg"])
    room = await station(house.client, "MR1")
    orders = [
        await scheduled(house.client, who, modality="MRI", location=room),
        await scheduled(house.client, who, modality="CT"),
    ]
    (folder / "fhir-of somebody else.wl").write_bytes(b"")

    async def read(wanted: Wanted) -> list[Found]:
        return await read_steps(house.engine, step_context("x", ""), wanted)

    async def note(steps: Sequence[Found]) -> None:
        written = {path.name for path in folder.glob("fhir-*.wl")}
        assert not written & {f"fhir-{each.id}.wl" for each in steps}, "it is noted before"
        noted.append([each.id for each in steps])

    noted: list[list[str]] = []
    export = Export(folder, Entries(ZoneInfo("Europe/Berlin")), read, note)
    await export.write()
    keys = ["PatientID=X-1"]
    ours = await findscu(house, *keys)
    theirs = await findscu(replace(house, port=port), *keys)
    assert len(ours) == 2
    # Of a step that may be done anywhere dcmtk wants to know a station all the same.
    for each in theirs:
        (item,) = each.ScheduledProcedureStepSequence
        if item.Modality == "CT":
            assert item.ScheduledStationAETitle == "ANY"
            item.ScheduledStationAETitle = ""
    assert told(theirs) == told(ours)
    for name in ("start", "complete"):
        await step(house.client, f"ServiceRequest/{orders[0]['id']}", name)
    await export.write()
    theirs = await findscu(replace(house, port=port), *keys)
    assert [each.AccessionNumber for each in theirs] == [accession(orders[1])]
    assert (folder / "fhir-of somebody else.wl").exists()
    first, then = noted
    assert {each["id"] for each in orders} <= set(first)
    assert then == []


def told(found: list[Dataset]) -> list[str]:
    """Answers as text, in one order, without what only one of the servers adds."""
    return sorted(
        "\n".join(str(element) for element in each if element.keyword != "SpecificCharacterSet")
        for each in found
    )
