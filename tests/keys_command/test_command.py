"""`fhir-server keys`: master keys, and the keys that they wrap."""

import stat
from pathlib import Path

import pytest

from fhir_server.cli import main


@pytest.fixture
def database_variable(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", database)


def test_a_new_master_key_comes_before_the_old_ones(tmp_path: Path) -> None:
    file = tmp_path / "master"
    assert main(["keys", "create", str(file)]) == 0
    (first,) = file.read_text().splitlines()
    assert main(["keys", "create", str(file)]) == 0
    second, old = file.read_text().splitlines()
    assert old == first != second
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["master"]


def test_a_file_that_is_no_key_file_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "letter"
    file.touch(0o600)
    file.write_text("Dear Sir")
    assert main(["keys", "create", str(file)]) == 1
    assert file.read_text() == "Dear Sir"
    told = capsys.readouterr().err
    assert "fhir-server keys: the key file" in told
    assert "Dear" not in told


@pytest.mark.usefixtures("database_variable")
def test_where_nothing_is_encrypted_there_is_nothing_to_rotate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "master"
    main(["keys", "create", str(file)])
    assert main(["keys", "rotate", "--seal-keys", str(file)]) == 1
    assert "Nothing is encrypted here" in capsys.readouterr().err
    assert main(["keys", "status"]) == 0
    assert capsys.readouterr().out == "default\tready\t0 elements of 0 types\n"


@pytest.mark.usefixtures("database_variable")
def test_a_territory_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "status", "--tenant", "elsewhere"]) == 1
    assert "not served" in capsys.readouterr().err


@pytest.mark.usefixtures("database_variable")
def test_keys_are_not_rotated_without_the_master_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "rotate", "--seal-keys", "/nowhere/master"]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().err
