"""`fhir-server hl7 send`."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from fhir_server.cli import main
from tests.conftest import free_port
from tests.messaging.conftest import Hospital
from tests.messaging.samples import adt, number


async def _send(path: Path, port: int, *options: str) -> int:
    arguments = ["hl7", "send", str(path), "--port", str(port), *options]
    return await asyncio.to_thread(main, arguments)


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


async def test_tls_with_a_certificate_of_ones_own_is_used(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, control_id = tmp_path / "one.hl7", number("TLS")
    path.write_bytes(adt(number("M"), control_id=control_id))
    folder, port = hospital.certificates, hospital.ports["secure"]
    ca = ("--ca", str(folder / "server.pem"))
    own = ("--certificate", str(folder / "client.pem"), "--key", str(folder / "client.key"))
    assert await _send(path, port, *ca, *own, "--server-name", "localhost") == 0
    assert capsys.readouterr().out == f"{path}: {control_id}: AA\n"
    with psycopg.connect(hospital.database) as connection:
        found = connection.execute(
            "select peer from tenant_default.message where control_id = %s", (control_id,)
        ).fetchone()
    assert found == ("127.0.0.1 CN=client",)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tls"], "CERTIFICATE_VERIFY_FAILED"),
        (["--ca", "server.pem"], "closed the connection"),
        (["--ca", "nowhere.pem"], "TLS: "),
        (["--tls", "--key", "client.key"], "TLS: --key is given without --certificate"),
    ],
)
async def test_who_is_not_vouched_for_gets_no_connection(
    hospital: Hospital,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    path = tmp_path / "one.hl7"
    path.write_bytes(adt(number("M")))
    files = [str(hospital.certificates / each) if "." in each else each for each in options]
    assert await _send(path, hospital.ports["secure"], *files) == 2
    assert told in capsys.readouterr().err
