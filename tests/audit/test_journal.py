"""The files that keep events until they are in the database."""

import errno
import os
from pathlib import Path

import pytest

from fhir_server.audit.journal import Journal, JournalFull


def test_lines_are_read_from_any_position_on(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path)
    for text in ("one", "two", "three"):
        journal.append(text)
    lines, position = journal.lines(0, 8)
    assert lines == [b"one", b"two"]
    assert journal.lines(position, 100) == ([b"three"], journal.size)
    assert journal.lines(journal.size, 100) == ([], journal.size)


def test_a_line_longer_than_what_is_read_at_once_comes_whole(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path)
    journal.append("x" * 1000)
    journal.append("y")
    assert journal.lines(0, 16)[0][0] == b"x" * 1000


def test_what_is_left_of_a_last_line_comes_too(tmp_path: Path) -> None:
    (tmp_path / "x.journal").write_bytes(b"whole\nbro" + bytes(5000))
    (journal,) = Journal.left(tmp_path)
    lines, position = journal.lines(0, 100)
    assert lines == [b"whole"]
    assert journal.lines(position, 100) == ([b"bro"], 9)


def test_a_journal_is_its_process_s_until_that_gives_it_up(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path)
    journal.append("kept")
    assert list(Journal.left(tmp_path)) == []
    journal.close()
    (found,) = Journal.left(tmp_path)
    assert found.name == journal.name
    assert found.lines(0, 100)[0] == [b"kept"]
    assert list(Journal.left(tmp_path)) == []
    found.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalFull):
        Journal.new(tmp_path / "file" / "below")


def test_a_line_without_room_on_the_disk_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.new(tmp_path)
    journal.append("first")
    large = "x" * 2**21

    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(JournalFull, match="No space"):
            journal.append(large)
    journal.append("third")
    assert journal.lines(0, 100)[0] == [b"first", b"third"]
    journal.append(large)
    assert journal.lines(0, 2**22)[0] == [b"first", b"third", large.encode()]


def test_what_was_written_is_there_for_whoever_opens_the_file(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path)
    texts = [f"{number} {'x' * 1000}" for number in range(3000)]
    for text in texts:
        journal.append(text)
    written, size = journal.path.read_bytes(), journal.size
    assert written[:size].decode().split("\n")[:-1] == texts
    journal.close()
    (found,) = Journal.left(tmp_path)
    assert found.size == size


def test_it_is_dirty_until_it_is_flushed(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path)
    found = [journal.dirty]
    journal.append("x")
    found.append(journal.dirty)
    journal.flush()
    found.append(journal.dirty)
    assert found == [False, True, False]
