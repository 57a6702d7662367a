"""`fhir-server user` and `fhir-server client`, on a database of their own."""

import io
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from fhir_server.cli import main
from tests.identity.conftest import public_keys
from tests.identity.smart import PASSWORD, REDIRECT


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def on_database(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database)


pytestmark = pytest.mark.usefixtures("on_database")


def test_users_are_added_changed_and_listed(
    password_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anna = ["user", "add", "anna", "--role", "doctor", "--fhir-user", "Practitioner/1"]
    assert main([*anna, "--password-file", str(password_file)]) == 0
    assert main(["user", "roles", "anna", "nurse", "doctor"]) == 0
    assert main(["user", "tenants", "anna", "north", "south"]) == 0
    assert main(["user", "list"]) == 0
    assert capsys.readouterr().out == "anna\tdoctor,nurse\tnorth,south\tPractitioner/1\n"
    assert main(["user", "disable", "anna"]) == 0
    assert main(["user", "list"]) == 0
    assert capsys.readouterr().out.endswith("\tdisabled\n")
    for action in ("enable", "sign-out", "unlock"):
        assert main(["user", action, "anna"]) == 0
    assert main([*anna, "--password-file", str(password_file)]) == 1
    assert "already" in capsys.readouterr().err


def test_a_password_comes_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\r\n"))
    assert main(["user", "add", "piped", "--role", "nurse", "--password-file", "-"]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["user", "password", "piped"]) == 1
    assert "--password-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["user", "add", "Anna", "--role", "doctor"], "small letters"),
        (["user", "add", "a b", "--role", "doctor"], "small letters"),
        (["user", "add", "b", "--role", "king"], "king"),
        (["user", "add", "b", "--role", "doctor", "--fhir-user", "Patient"], "Practitioner/1"),
        (["user", "add", "b", "--role", "doctor", "--tenant", "No"], "territory"),
    ],
)
def test_users_that_cannot_be_are_refused(
    arguments: list[str], told: str, password_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--password-file", str(password_file)]) == 1
    assert told in capsys.readouterr().err


def test_a_weak_password_is_refused(
    password_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password_file.write_text("short\n")
    arguments = ["user", "add", "c", "--role", "doctor", "--password-file", str(password_file)]
    assert main(arguments) == 1
    assert "12" in capsys.readouterr().err


def test_nobody_changes_whom_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["user", "roles", "nobody"], ["client", "disable", "nothing"]):
        assert main(arguments) == 1
        assert "there is no" in capsys.readouterr().err


def test_programs_are_added_with_a_secret_that_is_shown_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    add = ["client", "add", "web", "--scope", "openid  user/*.rs", "--redirect-uri", REDIRECT]
    assert main(add) == 0
    secret = capsys.readouterr().out.strip()
    assert len(secret) >= 40
    assert main(["client", "list"]) == 0
    listed = capsys.readouterr().out
    assert secret not in listed
    assert listed == (
        "web\tclient_secret_basic\tauthorization_code,refresh_token\topenid user/*.rs\n"
    )
    assert main(["client", "secret", "web"]) == 0
    assert capsys.readouterr().out.strip() not in ("", secret)


def test_public_programs_and_those_with_keys_have_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(public_keys()))
    public = ["client", "add", "page", "--scope", "openid", "--redirect-uri", REDIRECT, "--public"]
    backend = ["client", "add", "lab", "--scope", "system/*.rs", "--backend"]
    assert main(public) == 0
    assert main([*backend, "--jwks-file", str(keys)]) == 0
    assert capsys.readouterr().out == ""
    assert main(["client", "secret", "lab"]) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scope", "user/*.rs"], "redirect"),
        (["--scope", "all", "--redirect-uri", REDIRECT], "scope"),
        (["--scope", "user/*.sr", "--redirect-uri", REDIRECT], "scope"),
        (["--scope", "system/*.rs", "--backend", "--public"], "prove"),
        (["--scope", "system/*.rs", "--backend", "--jwks-url", "ftp://x"], "https"),
        (["--scope", "openid", "--redirect-uri", "http://app.example.org"], "redirect URI"),
    ],
)
def test_programs_that_cannot_be_are_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["client", "add", "wrong", *arguments]) == 1
    assert told in capsys.readouterr().err


def test_a_launch_is_a_url(capsys: pytest.CaptureFixture[str]) -> None:
    add = ["client", "add", "viewer", "--scope", "launch", "--redirect-uri", REDIRECT, "--public"]
    assert main([*add, "--launch-url", "https://app.example.org/launch"]) == 0
    assert main(["client", "launch", "viewer", "--patient", "p1"]) == 0
    found = urlsplit(capsys.readouterr().out.strip())
    assert found.netloc == "app.example.org"
    query = parse_qs(found.query)
    assert query["iss"] == ["http://localhost:8080/fhir"]
    assert len(query["launch"][0]) >= 24
    assert main(["client", "launch", "viewer", "--patient", "../x"]) == 1


def test_keys_are_replaced() -> None:
    assert main(["client", "replace-keys"]) == 0
