"""`fhir-server hl7 send`."""

import asyncio
from pathlib import Path

import pytest

from fhir_server.cli import main
from tests.conftest import free_port
from tests.messaging.conftest import Hospital
from tests.messaging.samples import adt, number


async def _send(path: Path, port: int) -> int:
    return await asyncio.to_thread(main, ["hl7", "send", str(path), "--port", str(port)])


async def test_files_are_sent_and_their_answers_printed(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "two.hl7"
    ids = [number("CLI"), number("CLI")]
    path.write_bytes(b"".join(adt(number("M"), control_id=each) for each in ids))
    assert await _send(path, hospital.port) == 0
    assert capsys.readouterr().out.splitlines() == [f"{path}: {each}: AA" for each in ids]


async def test_what_is_not_accepted_makes_the_command_fail(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "unknown.hl7"
    path.write_bytes(adt(number("M"), control_id="CLI-T", processing_id="T"))
    assert await _send(path, hospital.ports["production"]) == 1
    assert "CLI-T: AR: Processing id 'T'; expected P" in capsys.readouterr().out


async def test_nobody_listening_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.hl7"
    path.write_bytes(adt(number("M")))
    assert await _send(path, free_port()) == 2
    assert "127.0.0.1" in capsys.readouterr().err
