"""TestScript/[id]/$run: what comes of it, and where it may lead."""

import asyncio
import socket

import httpx
import psycopg
import pytest

from tests.answers import resource_of
from tests.operations.calling import answered, parameters
from tests.operations.scripts import (
    PATIENT,
    Json,
    claim,
    messages,
    operation,
    results,
    run,
    script_of,
    stored,
)


async def finished(client: httpx.AsyncClient, url: str) -> Json:
    """The TestReport at a URL once it is complete."""
    for _ in range(600):
        report = resource_of(await client.get(url))
        if report["status"] not in ("waiting", "in-progress"):
            return report
        await asyncio.sleep(0.05)
    raise AssertionError(report)


async def test_a_run_writes_to_this_server_and_stores_what_came_of_it(
    client: httpx.AsyncClient,
) -> None:
    script = script_of(
        operation("read", resource="Patient", params="/${id}"),
        claim(response="okay"),
        claim(expression="Patient.name.family", value="Chalmers"),
        contained=[PATIENT | {"id": "p"}],
        fixture=[{"id": "f", "autocreate": False, "autodelete": True,
                  "resource": {"reference": "#p"}}],
        variable=[{"name": "id", "expression": "Patient.id", "sourceId": "made"}],
        setup={"action": [operation("create", sourceId="f", responseId="made"),
                          claim(response="created")]},
    )  # fmt: skip
    report = await run(client, script)
    assert (report["status"], report["result"], report["score"]) == ("completed", "pass", 100)
    assert results(report) == ["pass", "pass", "pass"]
    assert report["testScript"]["reference"].startswith("TestScript/")
    kept = resource_of(await client.get(f"TestReport/{report['id']}"))
    assert kept == report
    script_of_it = kept["testScript"]["reference"]
    found = resource_of(await client.get(f"TestReport?testscript={script_of_it}"))
    assert [entry["resource"]["id"] for entry in found["entry"]] == [report["id"]]


async def test_what_does_not_hold_fails(client: httpx.AsyncClient) -> None:
    script = script_of(operation("read", url="Patient/none"), claim(response="okay"))
    report = await run(client, script)
    assert (report["result"], report["score"], results(report)) == ("fail", 0, ["pass", "fail"])
    assert "expected okay (200), found 404" in messages(report)


async def test_whoever_prefers_it_is_answered_at_once_and_asks_again(
    client: httpx.AsyncClient,
) -> None:
    id_ = await stored(client, script_of(operation("capabilities"), claim(response="okay")))
    headers = {"Prefer": "respond-async"}
    answer = await client.post(f"TestScript/{id_}/$run", headers=headers)
    report = answered("TestScript-run", answer, 202)
    assert (report["status"], report["result"]) == ("waiting", "pending")
    url = answer.headers["content-location"]
    assert url == f"http://test/fhir/TestReport/{report['id']}"
    assert (await finished(client, url))["result"] == "pass"
    history = resource_of(await client.get(f"TestReport/{report['id']}/_history"))
    states = [entry["resource"]["status"] for entry in reversed(history["entry"])]
    assert states == ["waiting", "in-progress", "completed"]


async def test_variables_and_the_format_come_from_who_asks(client: httpx.AsyncClient) -> None:
    script = script_of(
        operation("read", resource="Patient", params="/${id}"),
        claim(responseCode="${expected}"),
        claim(contentType="xml"),
        variable=[{"name": "id"}, {"name": "expected", "defaultValue": "200"}],
    )
    id_ = await stored(client, script)
    given = [("id", "none"), ("expected", "404")]
    parts = [
        {"name": "variable", "part": [{"name": "name", "valueString": name},
                                      {"name": "value", "valueString": value}]}
        for name, value in given
    ]  # fmt: skip
    body = parameters(*parts, {"name": "format", "valueCode": "xml"})
    report = answered("TestScript-run", await client.post(f"TestScript/{id_}/$run", json=body))
    assert results(report) == ["pass", "pass", "pass"]


async def test_a_script_that_has_itself_carried_out_is_refused_that(
    client: httpx.AsyncClient,
) -> None:
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "POST", "url": "TestScript/self/$run"}}]}  # fmt: skip
    script = script_of(
        operation("run", url="TestScript/self/$run", method="post",
                  requestHeader=[{"field": "X-FHIR-Server-Test-Run", "value": "x"}]),
        claim(responseCode="403"),
        operation("batch", sourceId="f"),
        claim(expression="Bundle.entry.response.status", value="403"),
        id="self",
        contained=[batch | {"id": "b"}],
        fixture=[{"id": "f", "autocreate": False, "autodelete": False,
                  "resource": {"reference": "#b"}}],
    )  # fmt: skip
    assert (await client.put("TestScript/self", json=script)).status_code == 201
    report = answered("TestScript-run", await client.post("TestScript/self/$run"))
    assert results(report) == ["pass"] * 4, messages(report)


async def test_fixtures_are_what_is_stored_here_and_never_files(client: httpx.AsyncClient) -> None:
    id_ = await stored(client, PATIENT | {"gender": "unknown"})
    fixture = {"id": "f", "autocreate": False, "autodelete": False}
    action = (
        operation("create", resource="Patient", sourceId="f"),
        claim(expression="Patient.gender", value="unknown"),
    )
    for reference in (f"Patient/{id_}", f"http://test/fhir/Patient/{id_}"):
        held = fixture | {"resource": {"reference": reference}}
        assert (await run(client, script_of(*action, fixture=[held])))["result"] == "pass"
    for reference in ("Patient/none", "file:///etc/hostname", "http://example.org/fhir/Patient/p"):
        missing = fixture | {"resource": {"reference": reference}}
        report = await run(client, script_of(*action, fixture=[missing]))
        assert (report["status"], report["result"]) == ("completed", "fail")
        assert "the fixture 'f'" in messages(report)


async def test_a_script_that_cannot_be_carried_out_is_an_error(client: httpx.AsyncClient) -> None:
    fixture = {"id": "f", "autocreate": False, "autodelete": False}
    script = script_of(operation("capabilities"), fixture=[fixture, fixture])
    report = await run(client, script)
    assert (report["status"], report["result"]) == ("completed", "fail")
    assert "two of them have the id 'f'" in messages(report)


async def test_a_report_that_was_deleted_stays_so(client: httpx.AsyncClient, database: str) -> None:
    waiting = [
        {"url": "pollingStatusCode", "valueInteger": 404},
        {"url": "maxAttempts", "valueInteger": 12},
        {"url": "intervalMs", "valueInteger": 50},
    ]
    slow = operation("read", url="Patient/none")
    slow["operation"]["extension"] = [
        {"url": "http://ignixa.io/testscript/waitFor", "extension": waiting}
    ]
    id_ = await stored(client, script_of(slow))
    headers = {"Prefer": "respond-async"}
    url = (await client.post(f"TestScript/{id_}/$run", headers=headers)).headers["content-location"]
    while resource_of(await client.get(url))["status"] == "waiting":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert (await client.delete(url)).status_code == 204
    with psycopg.connect(database, autocommit=True) as connection:
        running = "select from tenant_default.job where kind = 'script-run' and state <> 'done'"
        while connection.execute(running).fetchone() is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await client.get(url)).status_code == 410


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/fhir",
        "http://test@example.org/fhir",
        "http://localhost:1/fhir",
        "file:///etc",
        "http://[x",
        "http://test.example.org/fhir",
    ],
)
async def test_a_server_that_nobody_allowed_is_not_tested(
    client: httpx.AsyncClient, url: str
) -> None:
    id_ = await stored(client, script_of(operation("capabilities")))
    body = parameters({"name": "destination", "valueUri": url})
    answer = await client.post(f"TestScript/{id_}/$run", json=body)
    outcome = resource_of(answer, 403)
    assert "test_hosts" in outcome["issue"][0]["diagnostics"]


async def test_a_url_in_a_script_does_not_lead_elsewhere(client: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as forbidden:
        forbidden.settimeout(0.2)
        host = f"127.0.0.1:{forbidden.getsockname()[1]}"
        for url in (f"http://test@{host}/x", f"//{host}/x", f"http://test\\@{host}/x"):
            await run(client, script_of(operation("read", url=url)))
        report = await run(client, script_of(operation("read", url=f"http://{host}/x")))
        with pytest.raises(TimeoutError):
            forbidden.accept()
    assert results(report) == ["error"]
    assert f"{host} is not the server under test; the setting test_hosts" in messages(report)


@pytest.mark.parametrize(
    "path",
    [
        "count(1 to 1000000000)",
        "count(1(::)to(::)1000000000)",
        "count((1)to 1000000000)",
        "//*[fn:matches (@value, '(a+)+b')]",
        "for $a in //*, $b in //* return 1",
    ],
)
async def test_a_path_that_may_run_for_hours_is_refused(
    client: httpx.AsyncClient, path: str
) -> None:
    script = script_of(operation("capabilities"), claim(path=path, value="1"))
    report = await run(client, script)
    assert results(report) == ["pass", "error"]
    assert "which is not for scripts here" in messages(report)


async def test_a_path_that_goes_through_the_answer_is_taken(client: httpx.AsyncClient) -> None:
    path = "//fhirVersion[starts-with(@value, '4.') and not(//Task/for/to) and ' to ' != 'for $']"
    script = script_of(operation("capabilities"), claim(path=path, value="4.0.1"))
    assert (await run(client, script))["result"] == "pass"


async def test_what_is_beside_the_base_url_is_not_there(client: httpx.AsyncClient) -> None:
    script = script_of(operation("read", url="http://test/metrics"), claim(responseCode="404"))
    assert (await run(client, script))["result"] == "pass"


async def test_the_script_has_to_be_there(client: httpx.AsyncClient) -> None:
    assert (await client.post("TestScript/none/$run")).status_code == 404


async def test_a_run_whose_worker_died_is_stopped_and_not_repeated(
    client: httpx.AsyncClient, database: str
) -> None:
    id_ = await stored(client, script_of(operation("capabilities")))
    with psycopg.connect(database) as connection:
        # As if a worker had claimed it the moment it was enqueued, and died.
        connection.execute("lock table tenant_default.job in share row exclusive mode")
        headers = {"Prefer": "respond-async"}
        asked = asyncio.create_task(client.post(f"TestScript/{id_}/$run", headers=headers))
        await asyncio.sleep(0.2)
        assert not asked.done()
        connection.execute(
            "create function tenant_default.die() returns trigger language plpgsql as $$ begin "
            "new.state := 'running'; new.attempts := 1; "
            "new.claimed_until := now() - interval '1 minute'; return new; end $$"
        )
        connection.execute(
            "create trigger die before insert on tenant_default.job "
            "for each row execute function tenant_default.die()"
        )
        connection.commit()
    answer = await asked
    report = await finished(client, answer.headers["content-location"])
    with psycopg.connect(database) as connection:
        connection.execute("drop function tenant_default.die() cascade")
    assert (report["status"], report["result"]) == ("stopped", "fail")
    assert "has ended" in messages(report)
