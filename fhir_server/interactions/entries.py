"""Reading the entries of a batch or transaction, and writing the entries of its answer."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from fhir_server.context import Context
from fhir_server.interactions.bundles import raw
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Prefer, Request, decode_query
from fhir_server.interactions.result import DONE, Result
from fhir_server.interactions.writing import instant_text
from fhir_server.outcome import Invalid, Issue, Refusal, operation_outcome
from fhir_server.patch import Patch, patch_in_bundle

# In the order in which they are carried out (R4 http.html#trules).
WRITES = ("DELETE", "POST", "PUT", "PATCH")
METHODS = (*WRITES, "GET", "HEAD")
_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified", 400: "Bad Request",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 410: "Gone",
    412: "Precondition Failed", 413: "Content Too Large", 415: "Unsupported Media Type",
    422: "Unprocessable Entity", 500: "Internal Server Error",
}  # fmt: skip


@dataclass(slots=True)
class Entry:
    """One entry: what it asks for, and where it stands in the Bundle."""

    index: int
    full_url: str
    method: str
    segments: list[str]
    request: dict[str, Any]
    resource: Any

    @property
    def place(self) -> str:
        """Where the entry is, for issues."""
        return f"Bundle.entry[{self.index}]"

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded parameters of the entry's URL."""
        return decode_query(self.request["url"].partition("?")[2])


def bundle_entries(engine: Engine, bundle: Any) -> list[dict[str, Any]]:
    """The entries of a Bundle whose envelope is sound; their resources are not looked at.

    Raises `Invalid` for an envelope that breaks R4, a Bundle of another type than batch or
    transaction, and more entries than allowed.
    """
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Invalid(engine.structure.check(bundle).issues or _NOT_A_BUNDLE)
    if bundle.get("type") not in ("batch", "transaction"):
        raise Invalid(_NOT_A_BUNDLE)
    entries = bundle.get("entry", [])
    most = engine.limits.bundle_entries
    if isinstance(entries, list) and len(entries) > most:
        text = f"The Bundle has {len(entries)} entries; at most {most} are taken in one request"
        raise Refusal(Issue("too-costly", text, "Bundle.entry"), status=413)
    envelope = dict(bundle)
    if isinstance(entries, list) and entries:
        envelope["entry"] = [_without_resource(entry) for entry in entries]
    issues = engine.structure.check(envelope).issues
    if issues:
        raise Invalid(issues)
    return list(entries)


_NOT_A_BUNDLE = Issue(
    "invalid", "Expected a Bundle whose type is 'batch' or 'transaction'", "Bundle.type"
)


def _without_resource(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("request"), dict):
        return entry
    return {name: value for name, value in entry.items() if name != "resource"}


def read_entry(ctx: Context, index: int, entry: dict[str, Any]) -> Entry:
    """An entry of a sound envelope. Raises `Invalid` when it asks for nothing."""
    request = entry.get("request")
    place = f"Bundle.entry[{index}]"
    if request is None:
        text = "The entry has no request; expected one with method and url"
        raise Invalid(Issue("required", text, place))
    for name in ("method", "url"):
        if name not in request:
            text = f"The entry's request has no {name}; an extension does not replace it"
            raise Invalid(Issue("required", text, f"{place}.request"))
    path = request["url"].partition("?")[0]
    path = path.removeprefix(ctx.base_url).strip("/")
    if "://" in path:
        text = f"The url {request['url']!r} is not relative to this server's base"
        raise Invalid(Issue("value", text, f"{place}.request.url"))
    segments = [unquote(part) for part in path.split("/")] if path else []
    method = request["method"]
    if method not in METHODS:
        text = f"The method {method} is not supported in a Bundle; expected {', '.join(METHODS)}"
        raise Invalid(Issue("not-supported", text, f"{place}.request.method"))
    resource = entry.get("resource")
    needs_none = segments and (segments[-1] == "_search" or segments[-1].startswith("$"))
    if method in ("POST", "PUT", "PATCH") and resource is None and not needs_none:
        raise Invalid(Issue("required", f"A {method} needs a resource", f"{place}.resource"))
    return Entry(index, entry.get("fullUrl", ""), method, segments, request, resource)


def fill(request: Request, entry: Entry, prefer: Prefer) -> None:
    """Complete a routed request with what its entry says."""
    request.query = entry.query
    if entry.method == "PATCH":
        request.patch = _patch(entry)
    else:
        request.resource = entry.resource
    request.prefer = prefer
    request.if_match = entry.request.get("ifMatch")
    request.if_none_match = entry.request.get("ifNoneMatch")
    request.if_none_exist = entry.request.get("ifNoneExist")
    since = entry.request.get("ifModifiedSince")
    if since is not None:
        # A leap second, 60, lies at the start of the minute that follows.
        leap = since[17:19] == "60"
        found = datetime.fromisoformat(since[:17] + "59" + since[19:] if leap else since)
        request.if_modified_since = found + timedelta(seconds=leap)


def _patch(entry: Entry) -> Patch:
    try:
        return patch_in_bundle(entry.resource)
    except Refusal as refusal:
        place = f"{entry.place}.resource"
        issues = [replace(issue, expression=place) for issue in refusal.issues]
        raise Refusal(issues, status=refusal.status) from None


def answer(ctx: Context, result: Result, method: str, prefer: Prefer) -> dict[str, Any]:
    """The entry of the answer for what was carried out (R4 bundle.html#transaction-response)."""
    reason = _REASONS.get(result.status, "")
    response: dict[str, Any] = {"status": f"{result.status} {reason}".strip()}
    if result.created or (result.version and result.id and method != "DELETE"):
        response["location"] = result.location(ctx.base_url)
    if result.etag:
        response["etag"] = result.etag
    if result.last_updated is not None:
        response["lastModified"] = instant_text(result.last_updated)
    if prefer.returns == "OperationOutcome" and method in WRITES:
        response["outcome"] = operation_outcome(result.outcome or [DONE])
    entry: dict[str, Any] = {}
    if (result.created or method in ("PUT", "PATCH", "GET")) and result.id:
        entry["fullUrl"] = f"{ctx.base_url}/{result.type}/{result.id}"
    reads = method == "GET" or not result.id
    wanted = reads or prefer.returns in (None, "representation")
    if result.body is not None and method != "HEAD" and wanted:
        entry["resource"] = raw(result.body)
    return entry | {"response": response}


def refused(refusal: Refusal) -> dict[str, Any]:
    """The entry of a batch's answer for what was refused."""
    reason = _REASONS.get(refusal.status, "")
    return {
        "response": {
            "status": f"{refusal.status} {reason}".strip(),
            "outcome": operation_outcome(refusal.issues),
        }
    }


def http_date(text: str | None) -> datetime | None:
    """An HTTP date as an aware instant; None when absent or malformed (RFC 9110 13.1.3)."""
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
