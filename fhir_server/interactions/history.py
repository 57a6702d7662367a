"""history of an instance, a type and the system (R4 http.html#history)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.bundles import bundle, page_size, raw, url
from fhir_server.interactions.cursor import decode_cursor, encode_cursor
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.guarding import may_read
from fhir_server.interactions.read import not_found
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.subset import Subset
from fhir_server.interactions.writing import instant_text
from fhir_server.outcome import Forbidden, Invalid, Issue
from fhir_server.search.values import Instants
from fhir_server.security.access import READ
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored

PARAMETERS = frozenset(
    {"_since", "_at", "_count", "_cursor", "_elements", "_format", "_pretty", "_sort", "_summary"}
)

_START = datetime(1, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REASONS = {"POST": "201 Created", "PUT": "200 OK", "PATCH": "200 OK", "DELETE": "204 No Content"}


@dataclass(slots=True)
class _Bounds:
    since: datetime = _START
    before: datetime = _END
    alive: datetime = _START


async def instance_history(engine: Engine, ctx: Context, request: Request) -> Result:
    """Every version of one resource, newest first. Raises `NotFound` when it never was."""
    return await _history(engine, ctx, request)


async def type_history(engine: Engine, ctx: Context, request: Request) -> Result:
    """Every version of every resource of a type, newest first."""
    return await _history(engine, ctx, request)


async def system_history(engine: Engine, ctx: Context, request: Request) -> Result:
    """Every version of every resource, newest first."""
    return await _history(engine, ctx, request)


async def _history(engine: Engine, ctx: Context, request: Request) -> Result:
    _check_parameters(request)
    bounds = _bounds(engine, request)
    size = page_size(request, engine.limits.page, engine.limits.largest_page)
    subset = Subset.of(engine.definitions, request)
    statements = engine.statements(ctx)
    level = ("instance" if request.id else "type") if request.type else "system"
    oldest_first = _oldest_first(request)
    parameters: dict[str, Any] = {
        "type": request.type,
        "id": request.id,
        "since": bounds.since,
        "before": bounds.before,
        "alive": bounds.alive,
        "limit": size + 1,
    }
    total: int | None = None
    rows: list[Stored] = []
    counting = subset.summary == "count" or size == 0
    async with engine.store.connection(ctx.tenant) as connection:
        secret = await engine.store.secret(connection, ctx.tenant, "cursor")
        parameters |= _position(request, secret, oldest_first)
        if request.id:
            identity = (request.type, request.id)
            current = await resources.current(connection, statements, *identity)
            if current is None or not may_read(engine, ctx, request.type, current.content):
                raise not_found(*identity)
        # Some versions of it may have been another patient's: those are not counted either.
        every = not request.id or ctx.access.everyone(request.type, READ)
        if counting and not every:
            text = f"Counting versions is for those who may see every {request.type}"
            raise Forbidden(Issue("forbidden", text))
        if (request.id and every) or counting:
            query = statements.history_counts[level]
            total = await resources.count_versions(connection, query, parameters)
        if not counting:
            query = statements.history_pages[level, oldest_first]
            rows = await resources.history_page(connection, statements, query, parameters)
    shown = (row for row in rows[:size] if may_read(engine, ctx, row.type, row.content))
    entries = [_entry(ctx, row, subset) for row in shown]
    links = _links(ctx, request, secret, rows[size - 1] if len(rows) > size else None)
    return Result(200, bundle(ctx, "history", links, entries, total))


def _oldest_first(request: Request) -> bool:
    sort = request.one("_sort")
    if sort not in (None, "_lastUpdated", "-_lastUpdated"):
        text = f"_sort={sort!r}: a history is sorted by _lastUpdated or -_lastUpdated"
        raise Invalid(Issue("value", text))
    return sort == "_lastUpdated"


def _check_parameters(request: Request) -> None:
    unknown = sorted({name for name, _ in request.query} - PARAMETERS)
    if unknown and request.prefer.handling != "lenient":
        known = ", ".join(sorted(PARAMETERS - {"_cursor"}))
        text = f"Unknown parameters {', '.join(unknown)}; a history knows {known}"
        raise Invalid(Issue("not-supported", text))


def _bounds(engine: Engine, request: Request) -> _Bounds:
    bounds = _Bounds()
    since, at = request.one("_since"), request.one("_at")
    if since is not None:
        bounds.since = _range(engine, "_since", since)[0]
    if at is not None:
        # A version counts if it was current at some moment of the period.
        bounds.alive, bounds.before = _range(engine, "_at", at)
    return bounds


def _range(engine: Engine, name: str, text: str) -> tuple[datetime, datetime]:
    try:
        low, high = Instants(engine.where.zone).of_text(text)
        return _instant(low), _instant(high)
    except ValueError:
        expected = "expected a date or instant such as 2026-03-01T10:00:00Z"
        raise Invalid(Issue("value", f"{name}={text!r}: {expected}")) from None


def _instant(microseconds: int) -> datetime:
    """The instant, or the end of time that lies nearer than it."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return _START if microseconds < 0 else _END


def _position(request: Request, secret: bytes, oldest_first: bool) -> dict[str, Any]:
    text = request.one("_cursor")
    if text is None:
        return {"at": _START if oldest_first else _END, "at_rid": 0, "at_version": 0}
    at, rid, version = decode_cursor(secret, _path(request), text)
    return {"at": at, "at_rid": rid, "at_version": version}


def _entry(ctx: Context, row: Stored, subset: Subset) -> dict[str, Any]:
    identity = f"{row.type}/{row.id}"
    entry: dict[str, Any] = {"fullUrl": f"{ctx.base_url}/{identity}"}
    if row.content is not None:
        entry["resource"] = raw(subset.apply(row.content))
    entry["request"] = {
        "method": row.method,
        "url": row.type if row.method == "POST" else identity,
    }
    created = row.method == "PUT" and row.version == 1
    entry["response"] = {
        "status": "201 Created" if created else _REASONS[row.method],
        "etag": f'W/"{row.version}"',
        "lastModified": instant_text(row.last_updated),
    }
    return entry


def _path(request: Request) -> str:
    return "/".join(part for part in (request.type, request.id, "_history") if part)


def _links(
    ctx: Context, request: Request, secret: bytes, last: Stored | None
) -> list[tuple[str, str]]:
    path = _path(request)
    kept = [item for item in request.query if item[0] in PARAMETERS]
    links = [("self", url(ctx, path, kept))]
    if last is not None:
        position = [last.last_updated, last.rid, last.version]
        cursor = encode_cursor(secret, path, position)
        following = [item for item in kept if item[0] != "_cursor"]
        links.append(("next", url(ctx, path, [*following, ("_cursor", cursor)])))
    return links
