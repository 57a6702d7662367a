"""What a run of a stored TestScript is: the payload of its job, and its TestReport."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The kind of the jobs.
SCRIPT_RUN = "script-run"

# Every request of a run has it, so that a run does not start runs.
HEADER = "x-fhir-server-test-run"

UNFINISHED = frozenset({"waiting", "in-progress"})


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """One run of a stored TestScript.

    script, version: the id of the TestScript and its version. report: the id of the TestReport.
    base_url: of this server, as whoever asked sees it.
    destinations: base URLs of the servers to test, in the order of their numbers.
    format: `json` or `xml`, where an operation does not say.
    """

    script: str
    version: int
    report: str
    base_url: str
    destinations: list[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    format: str = "json"
    principal: str = ""

    def begun(self, status: str, issued: str) -> dict[str, Any]:
        """The TestReport of a run of which nothing is known yet."""
        return {
            "resourceType": "TestReport",
            **({"id": self.report} if self.report else {}),
            "status": status,
            "testScript": {"reference": f"TestScript/{self.script}"},
            "result": "pending",
            "issued": issued,
            "participant": [{"type": "server", "uri": self.destinations[0]}],
        }

    def stopped(self, reason: str, issued: str) -> dict[str, Any]:
        """The TestReport of a run that nobody can bring to its end."""
        action = {"operation": {"result": "error", "message": reason}}
        return self.begun("stopped", issued) | {"result": "fail", "setup": {"action": [action]}}
