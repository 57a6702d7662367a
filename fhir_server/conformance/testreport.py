"""What came of a script as a TestReport (R4 testreport.html)."""

from decimal import Decimal
from typing import Any

from fhir_server.conformance.results import ActionResult, PartResult, Result, ScriptResult

_ENGINE = "urn:fhir-server:test"


def test_report(script: ScriptResult) -> dict[str, Any]:
    """The TestReport of one script, valid R4."""
    made: dict[str, Any] = {
        "resourceType": "TestReport",
        "name": script.name,
        "status": "stopped" if script.interrupted else "completed",
        "testScript": {"display": script.label},
        "result": _result(script),
        "score": _score(script),
        "tester": "fhir-server test",
        "issued": script.started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "participant": [
            {"type": "test-engine", "uri": _ENGINE, "display": "fhir-server test"},
            {"type": "server", "uri": script.base_url},
        ],
    }
    if script.reference:
        made["testScript"]["reference"] = script.reference
    if script.problem:
        problem = {"operation": {"result": "error", "message": script.problem}}
        made["setup"] = {"action": [problem]}
    if script.setup is not None and script.setup.actions:
        before = made.get("setup", {}).get("action", [])
        made["setup"] = {"action": before + _actions(script.setup)}
    if script.tests:
        made["test"] = [_test(test) for test in script.tests]
    if script.teardown is not None and script.teardown.actions:
        made["teardown"] = {"action": _actions(script.teardown)}
    return made


def _result(script: ScriptResult) -> str:
    if script.failed:
        return "fail"
    return "pending" if script.interrupted else "pass"


def _score(script: ScriptResult) -> Decimal:
    """Percent of the tests carried out that passed."""
    ran = [test for test in script.tests if test.result is not Result.SKIP]
    if not ran:
        return Decimal(0 if script.failed else 100)
    passed = sum(not test.failed for test in ran)
    return (Decimal(100 * passed) / len(ran)).quantize(Decimal("0.1"))


def _test(test: PartResult) -> dict[str, Any]:
    made: dict[str, Any] = {"name": test.name, "action": _actions(test)}
    if test.description:
        made["description"] = test.description
    return made


def _actions(part: PartResult) -> list[dict[str, Any]]:
    return [_action(each) for each in part.actions]


def _action(action: ActionResult) -> dict[str, Any]:
    message = ": ".join(each for each in (action.title, action.message) if each)
    made = {"result": action.result.value, **({"message": message} if message else {})}
    return {"operation" if action.is_operation else "assert": made}
