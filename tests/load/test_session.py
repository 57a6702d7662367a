import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.load.conftest import Load
from tests.load.scripted_server import (
    BreakOff,
    Reply,
    Request,
    ScriptedServer,
    accept,
    outcome,
    respond,
)


def transaction(*families: str, system: str = "s", **request: str) -> dict[str, Any]:
    entries = [
        {
            "resource": {
                "resourceType": "Patient",
                "identifier": [{"system": system, "value": family}],
            },
            "request": {"method": "POST", "url": "Patient"} | request,
        }
        for family in families
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def batch(*families: str) -> dict[str, Any]:
    return transaction(*families) | {"type": "batch"}


def write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def values(requests: list[Request]) -> list[str]:
    """The identifiers sent, request by request."""
    return [
        entry["resource"]["identifier"][0]["value"]
        for request in requests
        for entry in request.bundle["entry"]
    ]


def test_folder_is_stored_and_counted(load: Load, server: ScriptedServer, tmp_path: Path) -> None:
    write(tmp_path / "a.json", transaction("one", "two"))
    write(tmp_path / "b.json", {"resourceType": "Patient", "id": "7"})
    (tmp_path / "c.ndjson").write_text('{"resourceType":"Patient","id":"8"}\n')
    status, report = load(tmp_path)
    assert status == 0
    assert report["files"] == 3
    assert report["resources"]["created"] == 4
    assert {(r.method, r.path) for r in server.writes} == {
        ("POST", "/fhir"),
        ("PUT", "/fhir/Patient/7"),
    }


def test_stage_is_stored_before_the_next_one_starts(
    load: Load, server: ScriptedServer, tmp_path: Path
) -> None:
    for number in range(6):
        write(tmp_path / f"{number}.json", transaction(f"late {number}"))
    for number in range(3):
        write(tmp_path / f"0-{number}.json", transaction(f"early {number}"))
    assert load("--parallel", "8", tmp_path)[0] == 0
    order = [value.split()[0] for value in values(server.writes)]
    assert order == ["early"] * 3 + ["late"] * 6


def test_second_load_sends_nothing(load: Load, server: ScriptedServer, tmp_path: Path) -> None:
    write(tmp_path / "a.json", transaction("one"))
    load(tmp_path)
    status, report = load(tmp_path)
    assert (status, report["alreadyLoaded"], len(server.writes)) == (0, 1, 1)


def test_changed_file_is_sent(load: Load, server: ScriptedServer, tmp_path: Path) -> None:
    load(write(tmp_path / "a.json", transaction("one")))
    load(write(tmp_path / "a.json", transaction("two")))
    assert values(server.writes) == ["one", "two"]


def test_no_resume_sends_all_again(load: Load, server: ScriptedServer, tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", transaction("one"))
    load(file)
    load("--no-resume", file)
    assert values(server.writes) == ["one", "one"]


def test_server_that_lost_its_data_is_given_it_again(
    load: Load, server: ScriptedServer, tmp_path: Path
) -> None:
    def empty(request: Request) -> Reply:
        return Reply(404) if "/_history/" in request.path else accept(request)

    file = write(tmp_path / "a.json", transaction("one"))
    load(file)
    server.script = empty
    status, report = load(file)
    assert (status, report["alreadyLoaded"], len(server.writes)) == (0, 0, 2)


def test_only_what_failed_is_sent_again(load: Load, server: ScriptedServer, tmp_path: Path) -> None:
    def refuse_second(request: Request) -> Reply:
        if request.method == "GET":
            return accept(request)
        return respond(request, ["201", "422", "201"])

    file = write(tmp_path / "a.json", batch("one", "two", "three"))
    server.script = refuse_second
    status, report = load(file)
    assert status == 1
    assert report["failures"] == [{"file": str(file), "position": 1, "reason": "422: not this one"}]
    server.script = accept
    status, report = load(file)
    assert (status, report["resources"]["created"]) == (0, 1)
    assert values(server.writes) == ["one", "two", "three", "two"]
    assert load(file)[1]["alreadyLoaded"] == 1


def test_batch_that_keeps_failing_is_never_doubled(
    load: Load, server: ScriptedServer, tmp_path: Path
) -> None:
    def refuse_two(request: Request) -> Reply:
        if request.method == "GET":
            return accept(request)
        sent = [entry["resource"]["identifier"][0]["value"] for entry in request.bundle["entry"]]
        return respond(request, ["422" if value == "two" else "201" for value in sent])

    file = write(tmp_path / "a.json", batch("one", "two"))
    server.script = refuse_two
    for _ in range(3):
        assert load(file)[0] == 1
    assert values(server.writes) == ["one", "two", "two", "two"]


def test_refused_transaction_is_one_failure_and_sent_again_next_time(
    load: Load, server: ScriptedServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "a.json", transaction("one", "two"))
    server.script = lambda request: (
        accept(request) if request.method == "GET" else Reply(400, outcome("entry 1: no such code"))
    )
    status, report = load(file)
    assert status == 1
    assert [failure["reason"] for failure in report["failures"]] == ["400: entry 1: no such code"]
    server.script = accept
    assert load(file)[1]["resources"]["created"] == 2


def test_load_that_broke_off_asks_before_it_sends_again(
    load: Load, server: ScriptedServer, tmp_path: Path
) -> None:
    """The first load cannot find out, the second finds one file stored and one not."""
    stored = write(tmp_path / "a.json", transaction("stored", system="http://here"))
    lost = write(tmp_path / "b.json", transaction("lost", system="http://here"))

    def broken(request: Request) -> Reply:
        if request.path == "/fhir/metadata":
            return accept(request)
        if request.method == "GET":
            return Reply(400)
        raise BreakOff

    def mended(request: Request) -> Reply:
        if "?" not in request.path:
            return accept(request)
        found = {"resourceType": "Patient", "id": "1", "meta": {"versionId": "1"}}
        entries = [{"resource": found}] if "Cstored" in request.path else []
        return Reply(200, {"resourceType": "Bundle", "entry": entries})

    server.script = broken
    status, report = load(stored, lost)
    assert status == 1
    assert len(report["failures"]) == 2
    assert "could not be found out" in report["failures"][0]["reason"]
    server.script = mended
    server.requests.clear()
    assert load(stored, lost)[0] == 0
    assert values(server.writes) == ["lost"]
    assert load(stored, lost)[1]["alreadyLoaded"] == 2


def test_unreadable_files_are_named_and_the_rest_is_stored(
    load: Load, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text('{"resourceType":')
    (tmp_path / "b.json.bz2").write_bytes(b"BZh9 this is not bzip2")
    (tmp_path / "c.json.gz").write_bytes(b"\x1f\x8b\x08\x00")
    (tmp_path / "d.ndjson").write_text('{"resourceType":"Patient","id":"1"}\n[]\n')
    write(tmp_path / "e.json", transaction("good"))
    status, report = load(tmp_path)
    assert status == 1
    named = [(Path(f["file"]).name, f["position"]) for f in report["failures"]]
    assert named == [("a.json", None), ("b.json.bz2", None), ("c.json.gz", None), ("d.ndjson", 2)]
    assert report["resources"]["created"] == 2


def test_json_of_something_else_is_left_out_of_a_folder_but_not_if_named(
    load: Load, tmp_path: Path
) -> None:
    package = write(tmp_path / "package.json", {"name": "x"})
    write(tmp_path / "a.json", transaction("one"))
    status, report = load(tmp_path)
    assert (status, report["notFhir"]) == (0, [str(package)])
    assert load(package)[0] == 1


def test_no_server_is_told_at_once(
    load: Load, server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.json", transaction("one"))
    assert load("--base-url", "http://127.0.0.1:9/fhir", file) == (1, {})
    assert "http://127.0.0.1:9/fhir: no server answers" in capsys.readouterr().err


def test_token_is_sent(load: Load, server: ScriptedServer, tmp_path: Path) -> None:
    load("--token", "secret", write(tmp_path / "a.json", transaction("one")))
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer secret"}


def test_requests_in_memory_are_bounded(
    load: Load, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 2 senders no more than 2 requests are on their way, 2 wait and 1 is being read."""
    from fhir_server.load import loader

    ahead: list[int] = []
    read = 0
    original = loader._next

    def counted(parts: Any) -> Any:
        nonlocal read
        part = original(parts)
        read += part is not None
        ahead.append(read - len(server.writes))
        return part

    monkeypatch.setattr(loader, "_next", counted)
    lines = (json.dumps({"resourceType": "Patient", "id": str(i)}) for i in range(4000))
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    assert load("--parallel", "2", tmp_path)[1]["resources"]["created"] == 4000
    assert len(server.writes) == 20
    assert max(ahead) <= 5


def test_interrupt_lets_requests_end_and_the_next_load_goes_on(
    load: Load, server: ScriptedServer, tmp_path: Path
) -> None:
    def interrupt_during_second(request: Request) -> Reply:
        if request.method == "POST" and len(server.writes) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return accept(request)

    for number in range(12):
        write(tmp_path / f"{number:02}.json", transaction(f"{number:02}"))
    server.script = interrupt_during_second
    status, report = load("--parallel", "1", tmp_path)
    assert (status, report["interrupted"]) == (130, True)
    sent = len(server.writes)
    assert 2 <= sent < 12
    server.script = accept
    assert load("--parallel", "1", tmp_path)[0] == 0
    assert values(server.writes) == [f"{number:02}" for number in range(12)]


def test_summary_says_what_happened(
    load: Load, server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda request: (
        accept(request) if request.method == "GET" else respond(request, ["201"] + ["422"] * 24)
    )
    write(tmp_path / "a.json", batch(*(str(number) for number in range(25))))
    load(tmp_path)
    told = capsys.readouterr().err
    assert "1 files, 1 resources: 1 created in " in told
    assert "24 FAILED:" in told
    assert f"{tmp_path}/a.json [1]: 422: not this one" in told
    assert "and 4 more" in told
