"""`fhir-server test` as a person or a CI system calls it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fhir_server.cli import main
from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck
from tests.conftest import RunningServer, free_port, running_server
from tests.testscript.building import Json, claim, operation, script_of
from tests.testscript.conftest import SCRIPTS

SECRET = "s3cret-token"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    with running_server(folder, "--database-url", database, "--workers", "1") as running:
        yield running


def write(path: Path, script: Json) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(script))
    return path


def check_reports(folder: Path) -> list[Json]:
    """The TestReports, each valid R4."""
    reports = [json.loads(each.read_text()) for each in sorted(folder.glob("*.json"))]
    check = StructureCheck(definitions())
    for report in reports:
        report["score"] = int(report["score"])
        assert not check.check(report).issues
    return reports


FAILING = script_of(
    operation("read", resource="Patient", params="/none"), claim(response="okay"), name="Failing"
)
PASSING = script_of(operation("capabilities"), claim(response="okay"), name="Passing")


def test_without_a_server_it_starts_one_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    arguments = ["test", str(SCRIPTS), "--format", "both", "--report", str(report)]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    assert "2 scripts, 40 tests" in told
    assert "40 passed" in told
    results = check_reports(report)
    assert [each["result"] for each in results] == ["pass", "pass"]
    assert "all passed" in (report / "report.html").read_text()


def test_a_failure_is_told_with_what_was_sent_and_received(
    tmp_path: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "s" / "failing.json", FAILING)
    write(tmp_path / "s" / "below" / "passing.json", PASSING)
    write(tmp_path / "s" / "patient.json", {"resourceType": "Patient"})
    report = tmp_path / "report"
    base_url = ["--base-url", server.base_url + "/", "--token", SECRET]
    assert main(["test", str(tmp_path / "s"), *base_url, "--report", str(report)]) == 1
    told = capsys.readouterr().err
    assert "FAIL failing.json" in told
    assert "ok   below/passing.json" in told
    assert "2 scripts, 2 tests" in told
    assert {each["result"] for each in check_reports(report)} == {"pass", "fail"}
    junit = ElementTree.parse(report / "junit.xml").getroot()
    assert (junit.get("tests"), junit.get("failures"), junit.get("errors")) == ("2", "1", "0")
    page = (report / "report.html").read_text()
    assert f"GET {server.base_url}/Patient/none" in page
    assert "OperationOutcome" in page
    for path in report.iterdir():
        assert SECRET not in path.read_text()


def test_what_is_hostile_in_a_script_or_an_answer_is_text_in_the_report(
    tmp_path: Path, server: RunningServer
) -> None:
    evil = "<script>alert(1)</script>\x01]]>"
    script = script_of(
        operation("read", url=f"Patient/{evil[:-4]}", description=evil), claim(response="okay")
    )
    script["test"][0]["name"] = "<b>"
    write(tmp_path / "evil.json", script)
    report = tmp_path / "report"
    arguments = ["--base-url", server.base_url, "--report", str(report), "--quiet"]
    main(["test", str(tmp_path / "evil.json"), *arguments])
    page = (report / "report.html").read_text()
    assert "<script>" not in page
    assert "<b>" not in page
    ElementTree.parse(report / "junit.xml")


def test_broken_scripts_are_errors_in_the_reports_and_never_tracebacks(
    tmp_path: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "s"
    write(folder / "a.json", script_of(claim(responce="okay")))
    (folder / "b.json").write_text('{"resourceType": "TestScript", ')
    (folder / "c.xml").write_text('<TestScript xmlns="http://hl7.org/fhir"><nme value="x"/>')
    fixture = {"id": "f", "resource": {"reference": "none.json"}}
    write(folder / "d.json", PASSING | {"fixture": [fixture]})
    write(folder / "e.json", PASSING)
    report = tmp_path / "report"
    arguments = ["--base-url", server.base_url, "--report", str(report)]
    assert main(["test", str(folder), *arguments]) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "5 scripts, 1 test " in told
    assert "4 scripts without result" in told
    results = check_reports(report)
    assert [each["result"] for each in results] == ["fail"] * 4 + ["pass"]
    for broken in results[:4]:
        assert broken["setup"]["action"][0]["operation"]["result"] == "error"
    junit = ElementTree.parse(report / "junit.xml").getroot()
    assert junit.get("errors") == "4"


def test_a_server_that_is_not_there_makes_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "s.json", PASSING)
    base_url = f"http://127.0.0.1:{free_port()}/fhir"
    report = tmp_path / "report"
    arguments = ["test", str(tmp_path / "s.json"), "--base-url", base_url, "--report", str(report)]
    assert main(arguments) == 1
    assert "cannot be reached" in capsys.readouterr().err
    action = check_reports(report)[0]["test"][0]["action"]
    assert action[0]["operation"]["result"] == "error"
    assert action[1]["assert"]["result"] == "skip"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nowhere"], "does not exist"),
        (["EMPTY"], "holds no TestScript"),
        (["SCRIPT", "--base-url", "ftp://x"], "begins with http"),
        (["SCRIPT", "--base-url", "http://[x"], "begins with http"),
        (["SCRIPT", "--parallel", "0"], "--parallel"),
        (["SCRIPT", "--timeout", "0"], "--timeout"),
        (["SCRIPT", "--filter", "none"], "called like 'none'"),
        (["SCRIPT", "--examples", "/nowhere"], "is no folder"),
        (["SCRIPT", "--destination", "x=http://y"], "--destination"),
        (["SCRIPT", "--report", "SCRIPT/x"], "--report"),
    ],
)
def test_an_option_that_cannot_be_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    script = write(tmp_path / "s.json", PASSING)
    (tmp_path / "empty").mkdir()
    named = {"SCRIPT": str(script), "EMPTY": str(tmp_path / "empty"), "SCRIPT/x": f"{script}/x"}
    assert main(["test", *(named.get(each, each) for each in arguments)]) == 2
    assert said in capsys.readouterr().err


def test_only_what_is_called_so_is_carried_out(
    tmp_path: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(SCRIPTS / "watch.json", tmp_path / "watch.json")
    write(tmp_path / "failing.json", FAILING)
    base_url = ["--base-url", server.base_url]
    assert main(["test", str(tmp_path), *base_url, "--filter", "TRANSACTION"]) == 0
    assert "1 script, 1 test " in capsys.readouterr().err
    assert main(["test", str(tmp_path), *base_url, "--filter", "failing"]) == 1
    assert "1 script, 1 test " in capsys.readouterr().err


def test_variables_come_from_outside(tmp_path: Path, server: RunningServer) -> None:
    script = script_of(
        operation("read", resource="Patient", params="/${id}"),
        claim(responseCode="${expected}"),
        variable=[{"name": "id"}, {"name": "expected", "defaultValue": "200"}],
    )
    path = write(tmp_path / "s.json", script)
    base_url = ["--base-url", server.base_url]
    assert main(["test", str(path), *base_url]) == 1
    assert main(["test", str(path), *base_url, "--variable", "id=x"]) == 1
    given = ["--variable", "id=${C9}", "--variable", "expected=404"]
    assert main(["test", str(path), *base_url, *given]) == 0
