"""The command `fhir-server`."""

import subprocess
import sys
from pathlib import Path

import pytest

from fhir_server import __version__
from fhir_server.cli import main, parser
from fhir_server.settings import Settings
from fhir_server.storage.migrate import HEAD, SERVER_HEAD
from tests.conftest import free_port


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fhir_server.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_help_names_every_command_and_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    commands = capsys.readouterr().out
    assert all(
        name in commands
        for name in ("serve", "load", "package", "validate", "test", "migrate", "health")
    )
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    options = capsys.readouterr().out
    for name in Settings.model_fields:
        assert "--" + name.replace("_", "-") in options


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"fhir-server {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["serve", "--nonsense"], ["serve", "x"]])
def test_what_is_no_command_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_migrate_takes_only_what_concerns_the_database() -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["migrate", "--port", "1"])


def test_migrate_says_what_it_did_and_does_it_once(empty_database: str) -> None:
    first = run("migrate", "--database-url", empty_database)
    assert (first.returncode, first.stdout) == (
        0,
        f"fhir_server: from None to {SERVER_HEAD}\ntenant_default: from None to {HEAD}\n",
    )
    second = run("migrate", "--database-url", empty_database)
    assert (second.returncode, second.stdout) == (
        0,
        f"fhir_server: at revision {SERVER_HEAD}\ntenant_default: at revision {HEAD}\n",
    )


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_database_out_of_reach_is_told_without_its_password(command: str) -> None:
    url = f"postgresql://nobody:s3cret@127.0.0.1:{free_port()}/nothing"
    found = run(command, "--database-url", url)
    assert found.returncode == 1
    assert "the database cannot be used" in found.stderr
    assert "s3cret" not in found.stderr + found.stdout
    assert "Traceback" not in found.stderr


def test_health_of_a_server_that_is_not_there() -> None:
    found = run("health", "--base-url", f"http://127.0.0.1:{free_port()}/fhir")
    assert found.returncode == 1
    assert "does not answer" in found.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.255.255.1"])
def test_other_machines_are_not_served_while_nobody_says_who_they_are(
    host: str, tmp_path: Path
) -> None:
    found = run("serve", "--host", host, "--data-dir", str(tmp_path / "data"))
    assert found.returncode == 1
    assert f"fhir-server: {host} is reached by other machines" in found.stderr
    assert not (tmp_path / "data").exists()
