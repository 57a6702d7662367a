import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.testscript.building import (
    PATIENT,
    Json,
    answering,
    carried_out,
    claim,
    last_action,
    only_test,
    operation,
    script_of,
)

READ = operation("read", url="Patient/p")
IGNIXA = "http://ignixa.io/testscript/"


def extension(name: str, **value: Any) -> Json:
    return {"extension": [{"url": IGNIXA + name, **value}]}


class Log:
    """A server that remembers what it was asked."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answers.pop(0) if self._answers else httpx.Response(200, json=PATIENT)

    @property
    def lines(self) -> list[str]:
        return [f"{each.method} {each.url.path}" for each in self.requests]


async def test_a_failure_ends_the_test_and_no_other() -> None:
    failing = {"name": "a", "action": [READ, claim(response="gone"), READ, claim(response="okay")]}
    passing = {"name": "b", "action": [READ, claim(response="okay")]}
    log = Log()
    result = await carried_out(script_of(test=[failing, passing]), log)
    found = [[action.result.value for action in test.actions] for test in result.tests]
    assert found == [["pass", "fail", "skip", "skip"], ["pass", "pass"]]
    assert len(log.requests) == 2
    assert result.failed


async def test_a_failure_that_is_not_to_stop_does_not() -> None:
    url = "http://touchstone.aegis.net/touchstone/fhir/testing/StructureDefinition/"
    goes_on = {
        "extension": [{"url": f"{url}testscript-assert-stopTestOnFail", "valueBoolean": False}]
    }
    script = script_of(READ, claim(response="gone", **goes_on), READ)
    assert await only_test(script) == ["pass", "fail", "pass"]


async def test_a_warning_is_told_and_is_no_failure() -> None:
    script = script_of(READ, claim(response="gone", warningOnly=True), claim(response="okay"))
    result = await carried_out(script)
    assert [action.result for action in result.tests[0].actions] == ["pass", "warning", "pass"]
    assert not result.failed
    assert result.tests[0].result == "warning"


async def test_without_its_setup_nothing_is_tested_but_all_is_torn_down() -> None:
    log = Log()
    script = script_of(
        operation("read", url="Patient/tested"),
        setup={"action": [READ, claim(response="gone")]},
        teardown={"action": [operation("delete", url="Patient/p")]},
    )
    result = await carried_out(script, log)
    assert log.lines == ["GET /fhir/Patient/p", "DELETE /fhir/Patient/p"]
    assert result.tests[0].result == "skip"
    assert "the setup failed" in result.tests[0].message
    assert result.failed


async def test_a_teardown_goes_on_whatever_fails_in_it() -> None:
    gone = operation("delete", url="Patient/${none}")
    teardown = {"action": [gone, operation("delete", url="Patient/p")]}
    log = Log()
    result = await carried_out(script_of(READ, teardown=teardown), log)
    assert result.teardown is not None
    assert [action.result for action in result.teardown.actions] == ["error", "pass"]
    assert log.lines[-1] == "DELETE /fhir/Patient/p"
    assert not result.failed


async def test_fixtures_are_created_before_and_deleted_after() -> None:
    created = httpx.Response(201, headers={"Location": "http://test/fhir/Patient/7/_history/1"})
    log = Log(created)
    fixture = {"id": "f", "autocreate": True, "autodelete": True, "resource": PATIENT}
    script = script_of(operation("read", targetId="f"), fixture=[fixture])
    result = await carried_out(script, log)
    assert not result.failed
    assert log.lines == ["POST /fhir/Patient", "GET /fhir/Patient/7", "DELETE /fhir/Patient/7"]


async def test_a_fixture_that_is_not_taken_fails_the_setup() -> None:
    fixture = {"id": "f", "autocreate": True, "autodelete": False, "resource": PATIENT}
    result = await carried_out(script_of(READ, fixture=[fixture]), answering({}, 400))
    assert result.setup is not None
    assert result.setup.failed
    assert result.tests[0].result == "skip"


async def test_placeholders_are_the_same_in_fixtures_and_script() -> None:
    log = Log()
    fixture = {"id": "f", "resource": {"resourceType": "Patient", "id": "a-${C6}"}}
    create = operation("update", sourceId="f")
    script = script_of(create, operation("read", url="Patient/a-${C6}"), fixture=[fixture])
    assert not (await carried_out(script, log)).failed
    sent = json.loads(log.requests[0].content)
    assert log.lines[1] == f"GET /fhir/Patient/{sent['id']}"
    assert len(sent["id"]) == 8


@pytest.mark.parametrize(
    ("statuses", "expected"), [((200, 404), "pass"), ((410, 404), "pass"), ((404, 500), "fail")]
)
async def test_one_of_the_alternatives_must_hold(statuses: tuple[int, int], expected: str) -> None:
    alternatives = [
        claim(responseCode=str(code), warningOnly=True)["assert"]
        | extension("assertionAnyOfGroup", valueString="g")
        for code in statuses
    ]
    script = script_of(READ, *({"assert": each} for each in alternatives))
    result = await carried_out(script, answering(status=404 if statuses[0] != 404 else 410))
    assert result.tests[0].result == expected, result.tests[0].message


async def test_an_assertion_applies_only_after_its_status() -> None:
    parts = [{"url": "sourceId", "valueString": "r"}, {"url": "status", "valueInteger": 202}]
    script = script_of(
        operation("read", url="Patient/p", responseId="r"),
        {
            "assert": {"response": "gone"}
            | extension("assertionWhenResponseStatus", extension=parts)
        },
    )
    assert await only_test(script) == ["pass", "skip"]
    assert await only_test(script, answering(status=202)) == ["pass", "fail"]


async def test_a_request_is_repeated_while_the_answer_is_not_ready() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    parts = [
        {"url": "pollingStatusCode", "valueInteger": 202},
        {"url": "maxAttempts", "valueInteger": 3},
        {"url": "intervalMs", "valueInteger": 1500},
    ]
    waiting = READ["operation"] | extension("waitFor", extension=parts)
    script = script_of({"operation": waiting}, claim(response="okay"))
    log = Log(httpx.Response(202), httpx.Response(202))
    assert await only_test(script, log, sleep=sleep) == ["pass", "pass"]
    assert waits == [1.5, 1.5]
    assert await only_test(script, answering(status=202), sleep=sleep) == ["pass", "fail"]
    assert len(waits) == 4


async def test_a_test_is_repeated_with_each_value() -> None:
    parts = [{"url": "variable", "valueString": "v"}, {"url": "values", "valueString": "a, b"}]
    test = {"name": "one", "action": [operation("read", url="Patient/${v}")]}
    test |= extension("parametrize", extension=parts)
    log = Log()
    script = script_of(test=[test], variable=[{"name": "v", "defaultValue": "c"}])
    result = await carried_out(script, log)
    assert log.lines == ["GET /fhir/Patient/a", "GET /fhir/Patient/b"]
    assert [test.name for test in result.tests] == ["one [a]", "one [b]"]


CAPABILITIES = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "kind": "instance"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("requiresCapability", "kind = 'instance'"), "pass"),
        (("requiresCapability", "kind = 'capability'"), "skip"),
        (("requiresCapability", "rest.operation.exists()"), "skip"),
        (("fhirVersions", "4.0,5.0"), "pass"),
        (("fhirVersions", "4.0.1"), "pass"),
        (("fhirVersions", "4"), "pass"),
        (("fhirVersions", "4.3"), "skip"),
        (("fhirVersions", "4.0.10"), "skip"),
    ],
)
@pytest.mark.parametrize("of_script", [True, False])
async def test_what_the_server_is_not_for_is_skipped(
    wanted: tuple[str, str], expected: str, of_script: bool
) -> None:
    condition = extension(wanted[0], valueString=wanted[1])
    test = {"name": "one", "action": [READ]} | ({} if of_script else condition)
    script = script_of(test=[test]) | (condition if of_script else {})
    result = await carried_out(script, answering(CAPABILITIES))
    assert result.tests[0].result == expected
    assert not result.failed


async def test_a_condition_that_nobody_can_evaluate_is_no_pass() -> None:
    script = script_of(READ) | extension("requiresCapability", valueString="rest.(")
    assert "is wrong" in (await carried_out(script, answering(CAPABILITIES))).problem
    script = script_of(READ) | extension("requiresCapability", valueString="kind.exists()")
    result = await carried_out(script, answering({}, 307, {"Location": "https://elsewhere"}))
    assert "a redirect to https://elsewhere" in result.problem
    assert result.failed


async def test_destinations_are_told_apart() -> None:
    urls = {1: "http://test/fhir", 2: "http://other/fhir"}
    log = Log()
    named = {"destination": [{"index": n, "profile": {"code": "FHIR-Server"}} for n in (1, 2)]}
    to_second = operation("read", url="Patient/p", destination=2)
    result = await carried_out(script_of(to_second, **named), log, destinations=urls)
    assert not result.failed
    assert log.requests[0].url.host == "other"
    unnamed = await last_action(script_of(READ, **named), destinations=urls)
    assert (unnamed.result, "several destinations" in unnamed.message) == ("error", True)
    third = script_of(operation("read", url="Patient/p", destination=3))
    assert "--destination 3=URL" in (await last_action(third)).message


async def test_requests_and_responses_are_kept_by_their_ids() -> None:
    script = script_of(
        operation("read", url="Patient/p", requestId="q", responseId="r"),
        operation("read", url="Patient/q"),
        claim(sourceId="q", requestURL="http://test/fhir/Patient/p"),
        claim(sourceId="r", expression="Patient.id", value="p"),
        claim(
            sourceId="q", direction="request", headerField="Accept", value="application/fhir+xml"
        ),
        operation("update", sourceId="r"),
    )
    assert await only_test(script, format="xml") == ["pass"] * 6


@pytest.mark.parametrize(
    ("fixture", "said"),
    [
        ({"resource": {"reference": "none.json"}}, "there is no file none.json"),
        ({"resource": {"reference": "../secret.json"}}, "there is no file ../secret.json"),
        ({"resource": {"reference": "/etc/passwd"}}, "there is no file /etc/passwd"),
        ({"resource": {"reference": "http://example.org/Patient/1"}}, "is not fetched"),
        ({"resource": {"reference": "#none"}}, "nothing is contained"),
        ({}, "has no resource"),
    ],
)
async def test_a_fixture_that_is_not_there_is_told(
    tmp_path: Path, fixture: Json, said: str
) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(PATIENT))
    (tmp_path / "scripts").mkdir()
    result = await carried_out(
        script_of(READ, fixture=[{"id": "f"} | fixture]), folder=tmp_path / "scripts"
    )
    assert said in result.problem
    assert result.failed


@pytest.mark.parametrize("name", ["p.json", "p.xml", "folder/p"])
async def test_a_fixture_is_a_file_beside_the_script(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "p.json").write_text(json.dumps(PATIENT))
    (tmp_path / "folder" / "p.json").write_text(json.dumps(PATIENT))
    (tmp_path / "p.xml").write_text(
        '<Patient xmlns="http://hl7.org/fhir"><id value="p"/></Patient>'
    )
    log = Log()
    script = script_of(
        operation("update", sourceId="f"), fixture=[{"id": "f", "resource": {"reference": name}}]
    )
    assert not (await carried_out(script, log, folder=tmp_path)).failed
    assert log.lines == ["PUT /fhir/Patient/p"]


async def test_a_fixture_of_any_resource_is_an_example_or_the_smallest(tmp_path: Path) -> None:
    (tmp_path / "Patient-b.json").write_text(json.dumps(PATIENT | {"gender": "f"}))
    (tmp_path / "Patient-c.json").write_text(json.dumps(PATIENT | {"gender": "female"}))
    for examples, gender in ((tmp_path, "female"), (None, None)):
        log = Log()
        wanted = extension("fhirfakes", valueCode="Patient")
        script = script_of(
            operation("create", sourceId="f"), fixture=[{"id": "f", "resource": wanted}]
        )
        assert not (await carried_out(script, log, examples=examples)).failed
        assert json.loads(log.requests[0].content).get("gender") == gender
