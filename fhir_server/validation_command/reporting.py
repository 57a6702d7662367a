"""Says what was found, to people and to programs."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from fhir_server.fhir_json import encode
from fhir_server.outcome import Issue, operation_outcome
from fhir_server.validation.profiles.findings import Finding
from fhir_server.validation_command.documents import Document

_FILE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-file"
_ALL_OK = Issue("informational", "No issues were found.", severity="information")


class Report(Protocol):
    """Takes what was found, resource by resource."""

    def tell(self, document: Document, found: Sequence[Issue]) -> None:
        """What was found in one resource."""

    def end(self, counts: Counter[str]) -> None:
        """All is told. `counts` has `resource` and each severity."""


class Text:
    """A line for each error and warning, and a summary."""

    def tell(self, document: Document, found: Sequence[Issue]) -> None:
        """What was found in one resource."""
        for issue in found:
            if issue.severity != "information":
                _say(f"{document.label}: {_line(issue)}")

    def end(self, counts: Counter[str]) -> None:
        """How many there were of what."""
        errors = counts["error"] + counts["fatal"]
        told = [
            _number(counts["resource"], "resource"),
            _number(errors, "error"),
            _number(counts["warning"], "warning"),
        ]
        notes = counts["information"]
        more = f", {_number(notes, 'note')} (told by --format json)" if notes else ""
        _say(", ".join(told) + more)


class Json:
    """An OperationOutcome for each resource, one a line, that names the file."""

    def tell(self, document: Document, found: Sequence[Issue]) -> None:
        """What was found in one resource."""
        outcome: dict[str, Any] = operation_outcome(found or (_ALL_OK,))
        outcome["extension"] = [{"url": _FILE, "valueString": document.label}]
        _say(encode(outcome).decode())

    def end(self, counts: Counter[str]) -> None:
        """Nothing more is to be said."""


def complain(what: str) -> None:
    """Say what hinders the command."""
    sys.stderr.write(f"fhir-server validate: {what}\n")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _line(issue: Issue) -> str:
    where = f" at {issue.expression}" if issue.expression else ""
    rule = ""
    if isinstance(issue, Finding) and issue.rule:
        rule = f" [{issue.rule} of {issue.profile}]" if issue.profile else f" [{issue.rule}]"
    return f"{issue.severity}{where}: {issue.diagnostics}{rule}"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
