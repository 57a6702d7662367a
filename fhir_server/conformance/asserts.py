"""What assertions look at: one function a kind (R4 TestScript.setup.action.assert)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from fhir_server.conformance import containment, navigation, paths
from fhir_server.conformance.comparison import PRESENCE, WrongOperator, holds, told
from fhir_server.conformance.content import Content, NoResource, Request, Response, media_type
from fhir_server.conformance.fixtures import MissingFixture
from fhir_server.conformance.model import Assert
from fhir_server.conformance.profiles import ProfileCheck, UnknownProfile
from fhir_server.conformance.requests import MEDIA_TYPES
from fhir_server.conformance.values import NoValue, Values

# R4 valueset-assert-response-code-types.html
STATUSES = {
    "okay": 200, "created": 201, "noContent": 204, "notModified": 304, "bad": 400,
    "forbidden": 403, "notFound": 404, "methodNotAllowed": 405, "conflict": 409, "gone": 410,
    "preconditionFailed": 412, "unprocessable": 422,
}  # fmt: skip
_SAME_AS = {"json": ("application/fhir+json", "application/json"),
            "xml": ("application/fhir+xml", "application/xml")}  # fmt: skip
_MOST_TOLD = 5


class Unfounded(Exception):
    """An assertion that cannot be judged; says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an assertion holds, and what was found."""

    holds: bool
    message: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an assertion may look at.

    find: what has an id, or None. last_request, last_response: of the last operation.
    any_success: whether `okay` means every status from 200 to 299.
    """

    find: Callable[[str], Content | None]
    last_request: Request | None
    last_response: Response | None
    values: Values
    profiles: Callable[[], ProfileCheck]
    any_success: bool = False

    def content(self, claim: Assert) -> Content:
        """What the assertion is about. Raises Unfounded."""
        if claim.source_id is not None:
            return self.named(claim.source_id)
        last = self.last_request if claim.of_request else self.last_response
        if last is None:
            raise Unfounded("there was no request before")
        return last

    def named(self, id_: str) -> Content:
        """What has an id. Raises Unfounded."""
        found = self.find(id_)
        if found is None:
            raise Unfounded(f"there is no fixture, request or response '{id_}'")
        return found

    def response(self, claim: Assert) -> Response:
        """The response that the assertion is about. Raises Unfounded."""
        found = self.content(claim)
        if not isinstance(found, Response):
            raise Unfounded(f"{found.what} has no status")
        return found

    def request(self, claim: Assert) -> Request:
        """The request that the assertion is about. Raises Unfounded."""
        named = self.find(claim.source_id) if claim.source_id is not None else None
        if isinstance(named, Request):
            return named
        if self.last_request is None:
            raise Unfounded("there was no request before")
        return self.last_request


def judge(claim: Assert, evidence: Evidence) -> Verdict:
    """Whether an assertion holds. Raises Unfounded for one that cannot be judged."""
    try:
        fill = evidence.values.fill
        filled = replace(
            claim,
            subject=fill(claim.subject),
            value=None if claim.value is None else fill(claim.value),
            compare_expression=claim.compare_expression and fill(claim.compare_expression),
            compare_path=claim.compare_path and fill(claim.compare_path),
        )
        return _JUDGES[claim.kind](filled, evidence)
    except (NoValue, NoResource, paths.CannotEvaluate, WrongOperator) as error:
        raise Unfounded(str(error)) from None
    except (MissingFixture, UnknownProfile) as error:
        raise Unfounded(str(error)) from None


def _compared(
    what: str, found: list[str], claim: Assert, expected: str | None, default: str = "equals"
) -> Verdict:
    operator = claim.operator or default
    wanted = "" if operator in PRESENCE or expected is None else f" {expected!r}"
    message = f"{what}: expected {operator}{wanted}, found {told(found)}"
    return Verdict(holds(found, operator, expected), message)


def _response(claim: Assert, evidence: Evidence) -> Verdict:
    response = evidence.response(claim)
    name = claim.subject
    names = [each.strip() for each in name.split(",")]
    unknown = [each for each in names if each not in STATUSES]
    if unknown:
        raise Unfounded(f"there is no response code '{unknown[0]}'")
    status = response.status
    matches = any(
        status == STATUSES[each] or (each == "okay" and evidence.any_success and status // 100 == 2)
        for each in names
    )
    operator = claim.operator or "equals"
    if operator not in ("equals", "notEquals", "in", "notIn"):
        raise WrongOperator(f"the operator {operator} cannot be used with response")
    denied = operator in ("notEquals", "notIn")
    wanted = ", ".join(f"{each} ({STATUSES[each]})" for each in names)
    return Verdict(
        matches != denied, f"status: expected {'not ' * denied}{wanted}, found {_status(response)}"
    )


def _response_code(claim: Assert, evidence: Evidence) -> Verdict:
    response = evidence.response(claim)
    verdict = _compared("status", [str(response.status)], claim, claim.subject)
    return Verdict(verdict.holds, verdict.message + _reason(response))


def _status(response: Response) -> str:
    return f"{response.status}{_reason(response)}"


def _reason(response: Response) -> str:
    """What the server itself said was wrong."""
    if response.status in range(300, 400):
        location = response.header("Location")
        return f" (to {location}; redirects are not followed)" if location else ""
    try:
        outcome = response.resource
    except NoResource:
        return ""
    if outcome.get("resourceType") != "OperationOutcome" or response.status < 400:
        return ""
    issues = [issue for issue in outcome.get("issue", ()) if isinstance(issue, dict)]
    said = [str(each.get("diagnostics") or each.get("code")) for each in issues[:_MOST_TOLD]]
    return f" ({'; '.join(said)})" if said else ""


def _content_type(claim: Assert, evidence: Evidence) -> Verdict:
    found = evidence.content(claim).header("Content-Type") or ""
    expected = MEDIA_TYPES.get(claim.subject, claim.subject)
    essence = media_type(found)
    if claim.operator in PRESENCE | {"contains", "notContains"}:
        return _compared("Content-Type", [found] if found else [], claim, claim.subject)
    if essence in _SAME_AS.get(claim.subject, ()):
        essence = expected
    if ";" in claim.subject:
        essence = found
    return _compared("Content-Type", [essence] if essence else [], claim, expected)


def _header(claim: Assert, evidence: Evidence) -> Verdict:
    content = evidence.content(claim)
    found = content.header(claim.subject)
    expected = claim.value
    if claim.compare_id is not None and expected is None:
        expected = _compared_with(claim, evidence)
    # A header without anything to compare it with is expected to be there.
    default = "equals" if expected is not None else "notEmpty"
    what = f"header {claim.subject}"
    return _compared(what, [found] if found is not None else [], claim, expected, default)


def _resource(claim: Assert, evidence: Evidence) -> Verdict:
    content = evidence.content(claim)
    try:
        found = str(content.resource.get("resourceType", ""))
    except NoResource as error:
        message = f"resource type: expected {claim.subject}, found none: {error}"
        return Verdict(claim.operator in ("empty", "notEquals", "notIn"), message)
    return _compared("resource type", [found] if found else [], claim, claim.subject)


def _expression(claim: Assert, evidence: Evidence) -> Verdict:
    content = evidence.content(claim)
    bare = claim.value is None and claim.compare_id is None
    if claim.operator == "eval" or (bare and claim.operator is None):
        if claim.value is not None:
            raise WrongOperator("the operator eval has no value to compare with")
        truth = paths.condition(claim.subject, content)
        found = "nothing" if truth is None else str(truth).lower()
        return Verdict(truth is True, f"{claim.subject}: expected true, found {found}")
    return _found(claim, evidence, paths.by_expression(claim.subject, content))


def _path(claim: Assert, evidence: Evidence) -> Verdict:
    found = paths.by_path(claim.subject, evidence.content(claim))
    bare = claim.value is None and claim.compare_id is None and claim.operator is None
    if bare:
        holds_ = bool(found) and found != ["false"]
        return Verdict(holds_, f"{claim.subject}: expected something, found {told(found)}")
    return _found(claim, evidence, found)


def _found(claim: Assert, evidence: Evidence, found: list[str]) -> Verdict:
    """What was found against the value, or against what another content has there."""
    if claim.value is not None or claim.compare_id is None:
        return _compared(claim.subject, found, claim, claim.value)
    return _against(claim.subject, found, claim, evidence)


def _against(what: str, found: list[str], claim: Assert, evidence: Evidence) -> Verdict:
    expected = _of_compared(claim, evidence)
    if claim.operator in PRESENCE:
        return _compared(what, found, claim, None)
    if len(expected) == len(found) and (claim.operator or "equals") in ("equals", "notEquals"):
        same = found == expected
        denied = claim.operator == "notEquals"
        message = f"{what}: expected {'not ' * denied}{told(expected)}, found {told(found)}"
        return Verdict(same != denied, message)
    only = paths.only_text(expected, f"what '{claim.compare_id}' has there") or ""
    return _compared(what, found, claim, only)


def _of_compared(claim: Assert, evidence: Evidence) -> list[str]:
    assert claim.compare_id is not None
    other = evidence.named(claim.compare_id)
    if claim.compare_expression:
        return paths.by_expression(claim.compare_expression, other)
    assert claim.compare_path is not None
    return paths.by_path(claim.compare_path, other)


def _compared_with(claim: Assert, evidence: Evidence) -> str | None:
    return paths.only_text(_of_compared(claim, evidence), f"'{claim.compare_id}'")


def _compare(claim: Assert, evidence: Evidence) -> Verdict:
    """The same expression on both sides, where only the compared side says which."""
    content = evidence.content(claim)
    if claim.compare_expression:
        found = paths.by_expression(claim.compare_expression, content)
        return _against(claim.compare_expression, found, claim, evidence)
    assert claim.compare_path is not None
    found = paths.by_path(claim.compare_path, content)
    return _against(claim.compare_path, found, claim, evidence)


def _minimum(claim: Assert, evidence: Evidence) -> Verdict:
    minimum = evidence.named(claim.subject).resource
    content = evidence.content(claim)
    name = str(minimum.get("resourceType", ""))
    lacking = list(containment.missing(minimum, content.resource, name))
    shown = "; ".join(lacking[:_MOST_TOLD])
    message = f"at least '{claim.subject}': {shown or 'all of it is there'}"
    return Verdict(not lacking, message)


def _navigation(claim: Assert, evidence: Evidence) -> Verdict:
    if claim.subject != "true":
        return Verdict(True, "navigation links: not asked for")
    faults = list(navigation.faults(evidence.content(claim).resource))
    return Verdict(not faults, f"navigation links: {'; '.join(faults) or 'as they should be'}")


def _method(claim: Assert, evidence: Evidence) -> Verdict:
    found = evidence.request(claim).method.lower()
    return _compared("request method", [found], claim, claim.subject.lower())


def _url(claim: Assert, evidence: Evidence) -> Verdict:
    return _compared("request URL", [evidence.request(claim).url], claim, claim.subject)


def _profile(claim: Assert, evidence: Evidence) -> Verdict:
    faults = evidence.profiles().faults(claim.subject, evidence.content(claim).resource)
    message = f"profile '{claim.subject}': {'; '.join(faults) or 'the resource conforms'}"
    return Verdict(not faults, message)


_JUDGES: dict[str, Callable[[Assert, Evidence], Verdict]] = {
    "compare": _compare,
    "contentType": _content_type,
    "expression": _expression,
    "headerField": _header,
    "minimumId": _minimum,
    "navigationLinks": _navigation,
    "path": _path,
    "requestMethod": _method,
    "requestURL": _url,
    "resource": _resource,
    "response": _response,
    "responseCode": _response_code,
    "validateProfileId": _profile,
}
