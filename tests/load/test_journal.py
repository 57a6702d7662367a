from pathlib import Path

from fhir_server.load.journal import FileRecord, Journal, PartRecord


def opened(path: Path, server: str = "http://a") -> Journal:
    return Journal(path, server)


def remembered(path: Path, file: str, server: str = "http://a") -> FileRecord:
    journal = Journal(path, server)
    journal.close()
    return journal.of(file)


def test_what_was_stored_is_known_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal"
    journal = opened(path)
    journal.sending("f", 0, "2026-01-01T00:00:00Z")
    journal.stored("f", 0, [2, 5], "Patient/1/_history/1")
    journal.sending("f", 1, "2026-01-01T00:00:01Z")
    journal.close()
    assert remembered(path, "f") == FileRecord(
        complete=False,
        location="Patient/1/_history/1",
        parts={
            0: PartRecord(stored=True, failed=frozenset({2, 5})),
            1: PartRecord(since="2026-01-01T00:00:01Z"),
        },
    )


def test_complete_file_is_complete_and_forgotten_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    for file in ("f", "g"):
        journal.stored(file, 0, [], "Patient/1/_history/1")
        journal.complete(file)
    journal.forget("g")
    journal.close()
    assert remembered(path, "f").complete
    assert remembered(path, "g") == FileRecord()


def test_request_that_changed_nothing_counts_as_never_sent(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    journal.sending("f", 0, "2026-01-01T00:00:00Z")
    journal.not_stored("f", 0)
    journal.close()
    assert remembered(path, "f") == FileRecord()


def test_another_server_has_its_own_records(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path, "http://a")
    journal.complete("f")
    journal.close()
    assert not remembered(path, "f", "http://b").complete


def test_line_cut_short_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    journal.complete("f")
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"server":"http://a","fi')
    assert remembered(path, "f").complete


def test_without_a_path_nothing_is_kept(tmp_path: Path) -> None:
    journal = Journal(None, "http://a")
    journal.complete("f")
    assert journal.of("f").complete
    assert list(tmp_path.iterdir()) == []
