"""search of a type, of a compartment and of the system (R4 http.html#search)."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.interactions.bundles import bundle, outcome_entry, page_size, raw, url
from fhir_server.interactions.compartments import membership
from fhir_server.interactions.cursor import decode_cursor, encode_cursor
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.subset import Subset
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import execute
from fhir_server.search.conditions import ALWAYS, Condition
from fhir_server.search.execute import Page
from fhir_server.search.query import Query, parse, shapes
from fhir_server.search.sources import Position
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection

TOTALS = ("none", "estimate", "accurate")
_AFTER, _BEFORE = "a", "b"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search as asked for: what to select, and how to show it.

    secret, purpose: what its cursors are signed with and for.
    position: where the page begins, or ends if `backwards`; None for the first.
    """

    query: Query
    subset: Subset
    size: int
    total: str | None
    secret: bytes
    purpose: str
    position: Position | None
    backwards: bool

    @property
    def counting(self) -> bool:
        """Whether only the number of matches is wanted."""
        return self.subset.summary == "count" or self.size == 0

    def cursor(self, way: str, position: Position) -> str:
        """The cursor of the page that follows a position, or precedes it."""
        return encode_cursor(self.secret, self.purpose, [way, *position])


async def search(engine: Engine, ctx: Context, request: Request) -> Result:
    """One page of what matches; links lead to the first page, the next and the one before.

    Raises `Invalid` for parameters that are not understood, unless the client prefers
    `handling=lenient`: then an outcome entry names them and the self link leaves them out.
    """
    async with engine.store.connection() as connection:
        asked = await _asked(engine, ctx, connection, request)
        page = await _page(engine, ctx, connection, asked)
    entries = [_match(ctx, row, asked.subset) for row in page.matches]
    if asked.query.ignored:
        ignored = asked.query.ignored
        notes = [Issue(note.code, note.diagnostics, severity="warning") for note in ignored]
        entries.append(outcome_entry(notes))
    shown = None if asked.total == "none" and not asked.counting else page.total
    links = _links(ctx, request, asked, page)
    return Result(200, bundle(ctx, "searchset", links, entries, shown))


def understood(engine: Engine, ctx: Context, request: Request) -> Query:
    """What a request's parameters select and sort by. Raises `Invalid`."""
    index = engine.searchable(ctx)
    within: Condition = ALWAYS
    if request.compartment is not None:
        within = membership(engine, ctx, request.compartment, request.type)
    return parse(
        index.parameters,
        request.type,
        request.query,
        engine.circumstances(ctx),
        within=within,
        unready=index.unready,
        lenient=request.prefer.handling == "lenient",
    )


async def _asked(engine: Engine, ctx: Context, connection: Connection, request: Request) -> _Asked:
    query = understood(engine, ctx, request)
    subset = Subset.of(engine.definitions, request)
    size = page_size(request, engine.limits.page, engine.limits.largest_page)
    secret = await engine.store.secret(connection, ctx.tenant, "cursor")
    purpose = f"{_path(request)}?{urlencode(query.applied)}"
    position: Position | None = None
    backwards = False
    cursor = request.one("_cursor")
    if cursor is not None:
        way, *keys = decode_cursor(secret, purpose, cursor)
        position, backwards = tuple(keys), way == _BEFORE
    total = _wanted_total(request)
    return _Asked(query, subset, size, total, secret, purpose, position, backwards)


async def _page(engine: Engine, ctx: Context, connection: Connection, asked: _Asked) -> Page:
    at = engine.settling(ctx, connection)
    page = Page()
    if not asked.counting:
        page = await execute.page(
            at, asked.query, size=asked.size, after=asked.position, backwards=asked.backwards
        )
        if asked.position is None and not page.more:
            page.total = len(page.matches)
    if asked.counting or (page.total is None and asked.total in ("accurate", "estimate")):
        page.total = await execute.count(at, asked.query)
    return page


def _wanted_total(request: Request) -> str | None:
    wanted = request.one("_total")
    if wanted is not None and wanted not in TOTALS:
        raise Invalid(Issue("value", f"_total={wanted!r}: expected one of {', '.join(TOTALS)}"))
    return wanted


def _match(ctx: Context, row: Stored, subset: Subset) -> dict[str, Any]:
    assert row.content is not None
    return {
        "fullUrl": f"{ctx.base_url}/{row.type}/{row.id}",
        "resource": raw(subset.apply(row.content)),
        "search": {"mode": "match"},
    }


def _path(request: Request) -> str:
    if request.compartment is not None:
        return "/".join([*request.compartment, request.type or "*"])
    return request.type


def _links(ctx: Context, request: Request, asked: _Asked, page: Page) -> list[tuple[str, str]]:
    path = _path(request)
    shaping = [item for item in request.query if shapes(item[0]) and item[0] != "_sort"]
    applied = [*asked.query.applied, *shaping]
    plain = [item for item in applied if item[0] != "_cursor"]
    links = [("self", url(ctx, path, applied))]
    if asked.counting:
        return links
    links.append(("first", url(ctx, path, plain)))
    if not page.positions:
        return links
    first, last = page.positions
    # Where a page came from there was another one; beyond it there is one if it says so.
    if page.more if asked.backwards else asked.position is not None:
        links.append(
            ("previous", url(ctx, path, [*plain, ("_cursor", asked.cursor(_BEFORE, first))]))
        )
    if asked.backwards or page.more:
        links.append(("next", url(ctx, path, [*plain, ("_cursor", asked.cursor(_AFTER, last))])))
    return links
