"""What a server's answer says about each entry that was sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from fhir_server.load.parts import Part

CREATED, UPDATED, UNCHANGED, DELETED, FAILED = (
    "created",
    "updated",
    "unchanged",
    "deleted",
    "failed",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the entry at `position`; a failed one has a reason."""

    position: int
    kind: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The results of one part; `location` is one version it made."""

    results: tuple[Result, ...]
    location: str | None = None

    @property
    def failed(self) -> list[int]:
        """Positions of the entries that were refused."""
        return [result.position for result in self.results if result.kind == FAILED]


class _Text(msgspec.Struct):
    text: str = ""


class _Issue(msgspec.Struct):
    severity: str = ""
    code: str = ""
    diagnostics: str = ""
    details: _Text | None = None
    expression: list[str] = []


class _Outcome(msgspec.Struct):
    issue: list[_Issue] = []


class _Response(msgspec.Struct):
    status: str = ""
    location: str | None = None
    modified: str | None = msgspec.field(default=None, name="lastModified")
    outcome: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class _Entry(msgspec.Struct):
    response: _Response = msgspec.field(default_factory=_Response)


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


class Unintelligible(Exception):
    """A success whose answer does not tell what became of the entries."""


def read(part: Part, response: httpx.Response) -> Answer:
    """Results of every entry of the part. Raises Unintelligible."""
    if not response.is_success:
        return everything_failed(part, f"{response.status_code}: {_reason(response.content)}")
    if part.path:
        alone = _Response(
            status=str(response.status_code),
            location=response.headers.get("Location"),
            modified=_last_modified(response),
        )
        return _answer(part, [alone], response)
    try:
        bundle = msgspec.json.decode(response.content, type=_Bundle)
    except ValueError as error:
        raise Unintelligible(f"the answer is not a Bundle: {error}") from error
    if len(bundle.entry) != len(part.entries):
        raise Unintelligible(
            f"{len(part.entries)} entries were sent, the answer has {len(bundle.entry)}"
        )
    return _answer(part, [entry.response for entry in bundle.entry], response)


def everything_failed(part: Part, reason: str) -> Answer:
    """Nothing of the part was stored, for one reason."""
    return Answer(tuple(Result(entry.position, FAILED, reason) for entry in part.entries))


def everything_stored(part: Part, location: str) -> Answer:
    """The part is known to be stored, though its answer never arrived."""
    return Answer(tuple(Result(entry.position, CREATED) for entry in part.entries), location)


def _answer(part: Part, responses: list[_Response], http: httpx.Response) -> Answer:
    started = _server_time_when_sent(http)
    results = []
    location = None
    for entry, response in zip(part.entries, responses, strict=True):
        kind = _kind(entry.method, response, started)
        reason = ""
        if kind == FAILED:
            reason = f"{response.status[:3]}: {_reason(response.outcome)}"
        elif location is None and response.location and "/_history/" in response.location:
            location = response.location
        results.append(Result(entry.position, kind, reason))
    return Answer(tuple(results), location)


def _kind(method: str, response: _Response, started: datetime | None) -> str:
    if not response.status.startswith("2"):
        return FAILED
    if response.status.startswith("201"):
        return CREATED
    if method == "DELETE":
        return DELETED
    if method == "POST":
        return UNCHANGED  # a conditional create that found its match
    if started and response.modified and datetime.fromisoformat(response.modified) < started:
        return UNCHANGED
    return UPDATED


def _server_time_when_sent(response: httpx.Response) -> datetime | None:
    """At the earliest, by the server's clock: what it changed for us carries a later time."""
    answered = _http_date(response, "Date")
    return answered - response.elapsed if answered else None


def server_time(response: httpx.Response) -> str:
    """The server's clock as an instant, a little early; by our own clock where it tells none."""
    own = datetime.now().astimezone() - timedelta(minutes=5)
    time = _http_date(response, "Date") or own
    return (time - timedelta(seconds=2)).isoformat(timespec="seconds")


def _http_date(response: httpx.Response, header: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(response.headers[header])
    except (KeyError, ValueError):
        return None
    return time if time.tzinfo else None


def _last_modified(response: httpx.Response) -> str | None:
    # Of whole seconds; the end of the second is meant, lest a change look older than it is.
    modified = _http_date(response, "Last-Modified")
    return (modified + timedelta(seconds=1)).isoformat() if modified else None


def _reason(content: bytes | msgspec.Raw) -> str:
    try:
        outcome = msgspec.json.decode(content, type=_Outcome)
    except ValueError:
        return "the answer has no OperationOutcome"
    told = []
    for issue in outcome.issue:
        if issue.severity in ("error", "fatal"):
            text = issue.diagnostics or (issue.details.text if issue.details else "") or issue.code
            where = ", ".join(issue.expression)
            told.append(f"{text} ({where})" if where and where not in text else text)
    return "; ".join(told) or "no reason given"
