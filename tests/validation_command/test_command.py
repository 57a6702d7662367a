"""`fhir-server validate`: what it says of files, and its exit status."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fhir_server.cli import main
from fhir_server.xml.encode import encode_xml
from tests.validation_command.guide import COLOURS, PROFILE, URL, profile, write_package

Json = dict[str, Any]
TEXT = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}

BASIC = {"resourceType": "Basic", "id": "a", "text": TEXT, "code": {"text": "x"}}


def patient(**elements: Any) -> Json:
    return {"resourceType": "Patient", "text": TEXT} | elements


def write(path: Path, resource: Any) -> Path:
    path.write_text(json.dumps(resource))
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "guide.tgz")


class Said:
    """What one run of the command said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> None:
        self.status = main(["validate", *map(str, arguments)])
        self.out, self.err = capsys.readouterr()

    @property
    def outcomes(self) -> list[Json]:
        return [json.loads(line) for line in self.out.splitlines()]


def test_valid_file_gives_status_0_in_a_process_of_its_own(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", patient(gender="female"))
    command = [sys.executable, "-m", "fhir_server.cli", "validate", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "1 resource, 0 errors, 0 warnings\n",
        "",
    )


def test_invalid_file_gives_status_1_with_place_text_and_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.json", patient(contact=[{"gender": "male"}]))
    said = Said(capsys, file)
    assert said.status == 1
    assert said.out.startswith(f"{file}: error at Patient.contact[0]: ")
    assert "[pat-1 of http://hl7.org/fhir/StructureDefinition/Patient]\n" in said.out
    assert said.out.endswith("1 resource, 1 error, 0 warnings\n")


def test_warnings_fail_only_when_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.json", {"resourceType": "Patient", "active": True})
    said = Said(capsys, file)
    assert said.status == 0
    assert f"{file}: warning at Patient: " in said.out
    assert Said(capsys, "--fail-on", "warning", file).status == 1


def test_xml_is_held_to_the_same_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.xml"
    file.write_bytes(encode_xml(patient(gender="sunny")))
    said = Said(capsys, file)
    assert said.status == 1
    assert f"{file}: error at Patient.gender: " in said.out


def test_lines_of_ndjson_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.ndjson"
    lines = [json.dumps(patient(active=True)), "", json.dumps(patient(active="x")), "{"]
    file.write_text("\n".join(lines))
    said = Said(capsys, file)
    assert said.status == 1
    assert f"{file}:3: error at Patient.active: " in said.out
    assert f"{file}:4: fatal: " in said.out
    assert said.out.endswith("3 resources, 2 errors, 0 warnings\n")


def test_json_output_is_an_outcome_for_each_resource(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "a.json", patient(active=True))
    bad = write(tmp_path / "b.json", patient(active=1))
    said = Said(capsys, "--format", "json", good, bad)
    assert said.status == 1
    first, second = said.outcomes
    assert [each["extension"][0]["valueString"] for each in (first, second)] == [
        str(good),
        str(bad),
    ]
    assert first["issue"][0]["severity"] == "information"
    (issue,) = second["issue"]
    assert (issue["severity"], issue["expression"]) == ("error", ["Patient.active"])


def test_claimed_profile_and_its_value_set_come_from_a_package(
    tmp_path: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = {"coding": [{"system": f"{URL}/CodeSystem/colours", "code": "green"}]}
    file = write(tmp_path / "a.json", patient(meta={"profile": [PROFILE]}, maritalStatus=status))
    unknowing = Said(capsys, file)
    assert unknowing.status == 0
    assert f"warning at Patient: The profile {PROFILE}" in unknowing.out
    said = Said(capsys, "--package", package, file)
    assert said.status == 1
    assert f"[min of {PROFILE}]" in said.out
    assert f"[binding of {PROFILE}]" in said.out
    status["coding"][0]["code"] = "blue"
    write(file, patient(meta={"profile": [PROFILE]}, maritalStatus=status, name=[{"text": "A"}]))
    assert Said(capsys, "--package", package, file).status == 0


def test_given_profile_is_held_against_resources_of_its_type_also_in_bundles(
    tmp_path: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[str | Path] = ["--package", package, "--profile", f"{PROFILE}|1.0.0"]
    entries = [
        {"fullUrl": "http://example.org/Basic/a", "resource": BASIC},
        {"fullUrl": "http://example.org/Patient/a", "resource": patient(id="a", active=True)},
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    file = write(tmp_path / "a.json", bundle)
    assert Said(capsys, file).status == 0
    said = Said(capsys, *given, file)
    assert said.status == 1
    assert f"{file}: error at Bundle.entry[1].resource.name: " in said.out
    assert "1 error," in said.out
    alone = write(tmp_path / "b.json", BASIC)
    said = Said(capsys, *given, alone)
    assert said.status == 2
    assert "there is no Patient to hold against it" in said.err


def test_folder_is_read_without_hidden_files_and_what_is_no_resource(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "input"
    (folder / "below").mkdir(parents=True)
    write(folder / "below" / "a.json", patient(active=True))
    write(folder / "package.json", {"name": "x"})
    write(folder / ".index.json", {"resourceType": "Nonsense"})
    (folder / "notes.txt").write_text("none")
    assert Said(capsys, folder).out == "1 resource, 0 errors, 0 warnings\n"
    assert Said(capsys, folder / "package.json").status == 1


def test_what_cannot_be_read_gives_status_2_and_the_rest_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    good = write(tmp_path / "a.json", patient(active=True))
    said = Said(capsys, tmp_path / "absent.json", empty, good)
    assert said.status == 2
    assert f"{tmp_path / 'absent.json'}: fatal: The file cannot be read: No such file" in said.out
    assert f"{empty}: fatal: There is no .json" in said.out
    assert "1 resource, 2 errors" in said.out


@pytest.mark.parametrize("content", [b"", b"[", b"<Patient", b"\xff\xfe", b"null", b"[]", b'"x"'])
def test_files_that_are_no_resource_are_invalid(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    said = Said(capsys, file)
    assert said.status == 1
    assert f"{file}: " in said.out


def test_profile_or_package_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.json", patient(active=True))
    said = Said(capsys, "--profile", f"{PROFILE}|9", file)
    assert (said.status, said.out) == (2, "")
    assert f"The profile {PROFILE}|9 is not known" in said.err
    said = Said(capsys, "--package", tmp_path / "absent.tgz", file)
    assert said.status == 2
    assert "absent.tgz cannot be read: No such file" in said.err
    said = Said(capsys, "--package", file, file)
    assert said.status == 2
    assert f"{file}: Expected a .tgz" in said.err


def test_missing_dependencies_of_a_package_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = write_package(tmp_path / "g.tgz", dependencies={"example.base": "2.0.x"})
    base = write_package(tmp_path / "b.tgz", COLOURS, name="example.base", version="2.0.3")
    file = write(tmp_path / "a.json", patient(active=True))
    said = Said(capsys, "--package", guide, file)
    assert said.status == 0
    assert "example.guide#1.0.0 stands on example.base#2.0.x, not given" in said.err
    assert Said(capsys, "--package", guide, "--package", base, file).err == ""


def test_circular_profiles_are_told_and_do_not_hang(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (
        profile(name, base=f"{URL}/StructureDefinition/{base}")
        for name, base in (("one", "two"), ("two", "one"))
    )
    package = write_package(tmp_path / "g.tgz", one, two)
    file = write(tmp_path / "a.json", patient(active=True, meta={"profile": [one["url"]]}))
    said = Said(capsys, "--package", package, file)
    assert said.status == 0
    assert "warning at Patient: " in said.out
    assert "Its bases never end" in said.out
    said = Said(capsys, "--package", package, "--profile", one["url"], file)
    assert said.status == 2
    assert f"The profile {one['url']} cannot be used: " in said.err
    assert "Its bases never end" in said.err


def test_latest_version_of_a_profile_is_meant_where_none_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = profile("p", {"id": "Patient.name", "path": "Patient.name", "min": 1})
    loose = profile("p")
    older = write_package(tmp_path / "1.tgz", strict | {"version": "1.9.0"})
    newer = write_package(tmp_path / "2.tgz", loose | {"version": "1.10.0"}, version="2.0.0")
    file = write(tmp_path / "a.json", patient(active=True))
    given: list[str | Path] = ["--package", older, "--package", newer]
    assert Said(capsys, *given, "--profile", loose["url"], file).status == 0
    assert Said(capsys, *given, "--profile", f"{loose['url']}|1.9.0", file).status == 1
