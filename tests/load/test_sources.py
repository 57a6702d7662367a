import bz2
import gzip
import zipfile
from pathlib import Path

import pytest

from fhir_server.load.sources import NothingToLoad, Source, find

CONTENT = b'{"resourceType":"Patient","id":"1"}'


def names(stages: list[list[Source]], root: Path) -> list[list[str]]:
    return [[source.label.removeprefix(f"{root}/") for source in stage] for stage in stages]


def content_of(source: Source) -> bytes:
    with source.open() as (content, _):
        return content.read()


def make(folder: Path, *files: str) -> None:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)


def test_folder_is_read_with_everything_below_in_order(tmp_path: Path) -> None:
    make(tmp_path, "b.json", "a/z.ndjson", "a/y.json")
    assert names(find([tmp_path]), tmp_path) == [["a/y.json", "a/z.ndjson", "b.json"]]


def test_other_and_hidden_files_of_a_folder_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.json", "a.xml", "README.md", ".index.json", ".git/config.json", "x.tar.gz")
    assert names(find([tmp_path]), tmp_path) == [["a.json"]]


def test_numbered_files_form_stages_before_all_others(tmp_path: Path) -> None:
    make(tmp_path, "10-c.json", "2-b.json", "0-a.json", "0-b.json", "other.json")
    assert names(find([tmp_path]), tmp_path) == [
        ["0-a.json", "0-b.json"],
        ["2-b.json"],
        ["10-c.json"],
        ["other.json"],
    ]


def test_hospitals_and_practitioners_come_before_those_who_refer_to_them(tmp_path: Path) -> None:
    make(tmp_path, "Abe.json", "practitionerInformation1.json", "hospitalInformation1.json")
    assert names(find([tmp_path]), tmp_path) == [
        ["hospitalInformation1.json"],
        ["practitionerInformation1.json"],
        ["Abe.json"],
    ]


def test_name_that_begins_with_a_uuid_of_digits_is_no_stage(tmp_path: Path) -> None:
    make(tmp_path, "18239475-1cd1-4c62-8a4c-5c1d8f4f2a11.json", "Abe.json")
    assert len(find([tmp_path])) == 1


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("a.json", CONTENT),
        ("a.json.bz2", bz2.compress(CONTENT)),
        ("a.json.gz", gzip.compress(CONTENT, mtime=0)),
        ("A.JSON.GZ", gzip.compress(CONTENT, mtime=0)),
    ],
)
def test_packed_file_is_unpacked(name: str, packed: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(packed)
    ((source,),) = find([tmp_path])
    assert content_of(source) == CONTENT


def test_members_of_a_zip_are_files_of_their_own(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("b/patients.ndjson", CONTENT + b"\n")
        archive.writestr("b/packed.json.bz2", bz2.compress(CONTENT))
        archive.writestr("0-first.json", CONTENT)
        archive.writestr("notes.txt", "no")
    stages = find([tmp_path / "all.zip"])
    assert names(stages, tmp_path) == [
        ["all.zip:0-first.json"],
        ["all.zip:b/packed.json.bz2", "all.zip:b/patients.ndjson"],
    ]
    assert content_of(stages[1][0]) == CONTENT
    assert stages[1][1].is_ndjson
    assert not stages[1][0].is_ndjson


def test_checksum_follows_the_content_not_the_name(tmp_path: Path) -> None:
    make(tmp_path, "a.json", "b.json")
    (tmp_path / "c.json").write_bytes(CONTENT + b" ")
    ((a, b, c),) = find([tmp_path])
    assert a.checksum() == b.checksum() != c.checksum()


def test_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToLoad, match="does not exist"):
        find([tmp_path / "absent"])


def test_folder_without_resources_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "README.md")
    with pytest.raises(NothingToLoad, match=r"holds no \.json"):
        find([tmp_path])


def test_broken_zip_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a.zip")
    with pytest.raises(NothingToLoad, match="not a zip file"):
        find([tmp_path / "a.zip"])
