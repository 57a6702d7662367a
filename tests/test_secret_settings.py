"""Secrets come from variables and files, and nothing that shows settings shows them."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from fhir_server.cli import parser, settings_of
from fhir_server.secret_settings import is_secret
from fhir_server.serve import _hand_over
from fhir_server.settings import Settings

SENTINEL = "s3ntinel-of-a-test"
SECRETS = sorted(name for name, field in Settings.model_fields.items() if is_secret(field))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No setting from outside."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FHIR_SERVER_{name.upper()}", raising=False)
        monkeypatch.delenv(f"FHIR_SERVER_{name.upper()}_FILE", raising=False)
    return monkeypatch


def secret_value(name: str) -> str:
    return f"postgresql://u:{SENTINEL}@h/d" if name.endswith("_url") else SENTINEL


def test_what_is_called_a_secret_is_one() -> None:
    telling = ("password", "secret", "database_url")
    named = {each for each in Settings.model_fields if each.endswith(telling)}
    assert named <= set(SECRETS)
    assert named


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_read_from_a_file(
    name: str, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text(secret_value(name) + "\n")
    environment.setenv(f"FHIR_SERVER_{name.upper()}_FILE", str(file))
    assert getattr(Settings(), name).get_secret_value() == secret_value(name)


@pytest.mark.parametrize("name", SECRETS)
def test_settings_show_no_secret(name: str) -> None:
    settings = Settings.model_validate({name: secret_value(name)})
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert SENTINEL not in shown


def test_a_wrong_value_is_not_quoted() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"database_url": f"postgresql://u:{SENTINEL}/x@h:y/d"})
    assert SENTINEL not in str(caught.value)


def test_a_file_and_a_variable_are_one_too_many(
    tmp_path: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    file.write_text(SENTINEL)
    environment.setenv("FHIR_SERVER_ORTHANC_PASSWORD_FILE", str(file))
    environment.setenv("FHIR_SERVER_ORTHANC_PASSWORD", SENTINEL)
    assert "expected one of them" in refused("serve", capsys=capsys)


def test_a_file_that_is_not_there_is_refused(
    tmp_path: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("FHIR_SERVER_ORTHANC_PASSWORD_FILE", str(tmp_path / "none"))
    assert "FHIR_SERVER_ORTHANC_PASSWORD_FILE" in refused("serve", capsys=capsys)


def test_only_secrets_are_read_from_files(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    file = tmp_path / "port"
    file.write_text("1234")
    environment.setenv("FHIR_SERVER_PORT_FILE", str(file))
    assert Settings().port == 8080


@pytest.mark.parametrize("name", [each for each in SECRETS if not each.endswith("_url")])
def test_a_secret_is_refused_as_an_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused("serve", "--" + name.replace("_", "-"), SENTINEL, capsys=capsys)
    assert f"FHIR_SERVER_{name.upper()}_FILE" in told


def test_a_password_in_a_url_is_taken_as_an_option_with_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["serve", "--database-url", f"postgresql://u:{SENTINEL}@h/d"]
    assert settings_of(parser().parse_args(arguments)).database_url is not None
    told = capsys.readouterr().err
    assert "FHIR_SERVER_DATABASE_URL_FILE" in told
    assert SENTINEL not in told
    settings_of(parser().parse_args(["serve", "--database-url", "postgresql:///d"]))
    assert capsys.readouterr().err == ""


def test_workers_get_what_the_files_held(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setattr(os, "environ", dict(os.environ))
    file = tmp_path / "secret"
    file.write_text(SENTINEL)
    os.environ["FHIR_SERVER_ORTHANC_PASSWORD_FILE"] = str(file)
    settings = Settings()
    _hand_over(settings, "postgresql:///d")
    file.unlink()
    assert Settings().orthanc_password.get_secret_value() == SENTINEL


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of arguments that are refused."""
    with pytest.raises(SystemExit) as caught:
        settings_of(parser().parse_args(list(arguments)))
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert SENTINEL not in told
    return told
