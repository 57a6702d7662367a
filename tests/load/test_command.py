from pathlib import Path

import pytest

from fhir_server.load.command import default_journal


def test_journal_lies_in_the_users_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_journal() == tmp_path / "fhir-server" / "load.journal"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert default_journal() == Path("/home/ann/.local/state/fhir-server/load.journal")
