"""Every setting: where it comes from, what is refused, and that it is documented."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from fhir_server.cli import parser, settings_of
from fhir_server.secret_settings import is_secret
from fhir_server.settings import Settings

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting from outside."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FHIR_SERVER_{name.upper()}", raising=False)
        monkeypatch.delenv(f"FHIR_SERVER_{name.upper()}_FILE", raising=False)


def rows() -> Iterator[str]:
    """The table of docs/settings.md as the code has it."""
    yield "| Option | Variable | Default | Meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in Settings.model_fields.items():
        option = "--" + name.replace("_", "-")
        if field.annotation is bool:
            option += "`, `--no-" + name.replace("_", "-")
        variable = f"FHIR_SERVER_{name.upper()}"
        yield f"| `{option}` | `{variable}` | {default(field)} | {field.description} |"


def default(field: FieldInfo) -> str:
    if field.default is None:
        return "none"
    return f"`{str(field.default).lower() if field.annotation is bool else field.default}`"


def test_every_setting_is_documented_as_it_is() -> None:
    text = DOCUMENT.read_text()
    table = "\n".join(rows())
    assert table in text, f"docs/settings.md should have this table:\n\n{table}\n"


def test_the_document_names_no_setting_that_is_not() -> None:
    named = {word for word in DOCUMENT.read_text().split("`") if word.startswith("FHIR_SERVER_")}
    fields = Settings.model_fields
    known = {f"FHIR_SERVER_{name.upper()}" for name in fields}
    secret = {f"FHIR_SERVER_{n.upper()}_FILE" for n in fields if is_secret(fields[n])}
    assert known <= named <= known | secret


def test_an_option_outweighs_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_PORT", "1234")
    monkeypatch.setenv("FHIR_SERVER_WORKERS", "7")
    found = settings_of(parser().parse_args(["serve", "--port", "4321"]))
    assert found.port == 4321
    assert found.workers == 7


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files pass on what is not set as empty text."""
    for name in Settings.model_fields:
        monkeypatch.setenv(f"FHIR_SERVER_{name.upper()}", "")
    assert Settings() == Settings.model_construct(**defaults())


def defaults() -> dict[str, Any]:
    return {name: field.default for name, field in Settings.model_fields.items()}


def test_flags_are_switched_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_ACCESS_LOG", "true")
    assert settings_of(parser().parse_args(["serve"])).access_log
    assert not settings_of(parser().parse_args(["serve", "--no-access-log"])).access_log


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("workers", "0"),
        ("database_pool", "1"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
        ("base_url", "fhir.example.org"),
        ("base_url", "ftp://fhir.example.org"),
        ("max_body_bytes", "10"),
        ("request_timeout", "0"),
        ("database_url", "nonsense"),
        ("database_url", "postgresql://u:p/w@host/database"),
        ("tls_certificate", "/no/such/file"),
        ("tls_minimum", "1.1"),
        ("trusted_proxies", "proxy"),
        ("requests_per_second", "-1"),
        ("enforce_profiles", "Patient"),
        ("enforce_profiles", "Patient=p"),
        ("enforce_profiles", "Person=http://example.org/p Human=http://example.org/p"),
        ("log_level", "LOUD"),
        ("log_format", "xml"),
        ("max_page_size", "19"),
    ],
)
def test_a_wrong_value_is_refused_and_names_its_option(
    name: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({name: value})
    monkeypatch.setenv(f"FHIR_SERVER_{name.upper()}", value)
    with pytest.raises(SystemExit) as caught:
        settings_of(parser().parse_args(["serve"]))
    assert caught.value.code == 2
    assert f"--{name.replace('_', '-')}: " in capsys.readouterr().err


def test_the_base_url_loses_its_slash() -> None:
    assert Settings(base_url="https://fhir.example.org/r4/").base_url == (
        "https://fhir.example.org/r4"
    )


def test_profiles_are_enforced_by_type() -> None:
    text = "Patient=http://example.org/a|1 Group=http://example.org/b Patient=http://example.org/c"
    assert Settings(enforce_profiles=text).enforced_profiles == {
        "Patient": ("http://example.org/a|1", "http://example.org/c"),
        "Group": ("http://example.org/b",),
    }


def test_the_log_level_may_be_written_small() -> None:
    assert Settings(log_level="debug").log_level == "DEBUG"
