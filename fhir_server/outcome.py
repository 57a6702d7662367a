"""Problems as FHIR describes them: issues, and the refusals that carry them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue (R4 operationoutcome.html).

    code: a code of the issue-type value set, such as `invalid` or `not-found`.
    diagnostics: what was wrong and what was expected, with the value quoted.
    expression: where, as a simple FHIRPath such as `Patient.name[0].given[1]`; empty if nowhere.
    details: system and code of what it is called beside `code`, for those who act on it.
    """

    code: str
    diagnostics: str
    expression: str = ""
    severity: str = "error"
    details: tuple[str, str] | None = field(default=None, kw_only=True)

    def under(self, prefix: str) -> "Issue":
        """The same issue with its location placed below `prefix`."""
        return replace(self, expression=prefix + self.expression)

    def to_fhir(self) -> dict[str, Any]:
        """The issue as an element of OperationOutcome."""
        issue: dict[str, Any] = {
            "severity": self.severity,
            "code": self.code,
            "diagnostics": self.diagnostics,
        }
        if self.details:
            system, code = self.details
            issue["details"] = {"coding": [{"system": system, "code": code}]}
        if self.expression:
            issue["expression"] = [self.expression]
        return issue


def operation_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """An OperationOutcome resource that lists `issues` (R4 operationoutcome.html)."""
    return {"resourceType": "OperationOutcome", "issue": [issue.to_fhir() for issue in issues]}


class Refusal(Exception):
    """An interaction that was refused, and why: becomes an OperationOutcome at every door.

    status: the HTTP status that FHIR gives this refusal (R4 http.html#Status-Codes); the same
    number stands in Bundle.entry.response.status.
    headers: further header fields the refusal needs, such as `Allow` beside 405.
    """

    status = 400

    def __init__(
        self,
        issues: Issue | Sequence[Issue],
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.issues: tuple[Issue, ...] = (issues,) if isinstance(issues, Issue) else tuple(issues)
        if status is not None:
            self.status = status
        self.headers = headers or {}
        super().__init__("; ".join(issue.diagnostics for issue in self.issues))


class Invalid(Refusal):
    """The request or its resource breaks a rule of FHIR: 400, or 422 for a business rule."""

    status = 400


class Unauthorized(Refusal):
    """Nobody proved who asks: 401, with how it is done (RFC 6750 3)."""

    status = 401

    def __init__(self, reason: str = "", *, error: str = "invalid_token") -> None:
        challenge = 'Bearer realm="fhir"'
        if reason:
            challenge += f', error="{error}", error_description="{reason}"'
        text = f"The access token is not accepted: {reason}" if reason else "Log in first"
        super().__init__(Issue("login", text), headers={"WWW-Authenticate": challenge})


class Forbidden(Refusal):
    """What is asked for was not granted to whoever asks: 403; it tells nothing of what exists."""

    status = 403


class NotFound(Refusal):
    """No such resource or version: 404."""

    status = 404


class Gone(Refusal):
    """The resource was deleted: 410."""

    status = 410


class Conflict(Refusal):
    """Somebody else changed the same thing at the same time, or the identity is taken: 409."""

    status = 409


class PreconditionFailed(Refusal):
    """A condition of the request (If-Match, several matches) does not hold: 412."""

    status = 412


class Unavailable(Refusal):
    """The database does not answer, or not in time: 503.

    What was being written may or may not be stored; the client may ask and try again.
    """

    status = 503


def failure(request_id: str) -> Refusal:
    """The refusal when the server itself failed: of what it handled it says nothing."""
    text = f"The server failed; its log tells why under the request id {request_id}"
    return Refusal(Issue("exception", text, severity="fatal"), status=500)
