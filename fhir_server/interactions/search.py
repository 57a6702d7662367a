"""search of a type, of a compartment and of the system (R4 http.html#search)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.interactions.bundles import bundle, outcome_entry, page_size, raw, url
from fhir_server.interactions.compartments import membership
from fhir_server.interactions.cursor import decode_cursor, encode_cursor
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.explaining import explain, wanted
from fhir_server.interactions.including import (
    MOST_MATCHES,
    Cursor,
    Included,
    Window,
    continued,
    included,
)
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.subset import Subset
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import execute
from fhir_server.search.conditions import ALWAYS, Condition
from fhir_server.search.execute import Page
from fhir_server.search.lookups import Row
from fhir_server.search.query import BOTH, INSIDE, Query, parse, parsed, shapes
from fhir_server.search.settle import Settling
from fhir_server.search.sources import Position
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection

TOTALS = ("none", "estimate", "accurate")
# What a cursor leads to: matches after or before a position, or what more is included with some.
_AFTER, _BEFORE, _INCLUDED = "a", "b", "i"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search as asked for: what to select, and how to show it.

    secret, purpose: what its cursors are signed with and for.
    cursor: of the page; empty for the first.
    """

    query: Query
    subset: Subset
    size: int
    total: str | None
    secret: bytes
    purpose: str
    cursor: Cursor

    @property
    def position(self) -> Position | None:
        """Where the page of matches begins, or ends if it is read backwards."""
        return self.cursor[1:] or None

    @property
    def backwards(self) -> bool:
        """Whether the page is the one before the position."""
        return self.cursor[:1] == (_BEFORE,)

    @property
    def window(self) -> Window | None:
        """The matches with which more is included; None if the page is of matches."""
        if self.cursor[:1] != (_INCLUDED,) or self.counting:
            return None
        return Window.unpacked(self.cursor[1:])

    @property
    def counting(self) -> bool:
        """Whether only the number of matches is wanted."""
        return self.subset.summary == "count" or self.size == 0

    def signed(self, cursor: Cursor) -> str:
        """The text of the cursor of another page of the search."""
        return encode_cursor(self.secret, self.purpose, cursor)


async def search(engine: Engine, ctx: Context, request: Request) -> Result:
    """One page of what matches; links lead to the first page, the next and the one before.

    Raises `Invalid` for parameters that are not understood, unless the client prefers
    `handling=lenient`: then an outcome entry names them and the self link leaves them out.
    """
    async with engine.store.connection(ctx.tenant) as connection:
        asked = await _asked(engine, ctx, connection, request)
        at = engine.settling(ctx, connection)
        if wanted(request.one("_explain")):
            return await explain(
                at, asked.query, asked.size, after=asked.position, backwards=asked.backwards
            )
        page = await _page(at, asked)
        if asked.window is not None:
            more = await continued(engine, ctx, at, asked.query, asked.window)
        else:
            ahead = asked.backwards or page.more
            more = await included(engine, ctx, at, asked.query, page, asked.cursor, ahead)
    entries = [_entry(ctx, row, asked.subset, "match") for row in page.matches]
    entries += [_entry(ctx, row, asked.subset.of_included, "include") for row in more.rows]
    ignored = asked.query.ignored
    notes = [Issue(note.code, note.diagnostics, severity="warning") for note in ignored]
    if notes or more.notes:
        entries.append(outcome_entry([*notes, *more.notes]))
    shown = None if asked.total == "none" and not asked.counting else page.total
    links = _links(ctx, request, asked, page, more)
    return Result(200, bundle(ctx, "searchset", links, entries, shown))


def understood(engine: Engine, ctx: Context, request: Request) -> Query:
    """What a request's parameters select and sort by. Raises `Invalid`."""
    index = engine.searchable(ctx)
    within: Condition = ALWAYS
    if request.compartment is not None:
        # What contains a resource belongs to the compartment, whatever its type.
        contained = request.one("_contained") in (INSIDE, BOTH)
        type_ = "" if contained else request.type
        within = membership(engine.definitions, index.parameters, request.compartment, type_)
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
    if query.includes:
        size = min(size, MOST_MATCHES)
    secret = await engine.store.secret(connection, ctx.tenant, "cursor")
    purpose = f"{_path(request)}?{urlencode(query.applied)}"
    text = request.one("_cursor")
    cursor = () if text is None else tuple(decode_cursor(secret, purpose, text))
    return _Asked(query, subset, size, _wanted_total(request), secret, purpose, cursor)


async def _page(at: Settling, asked: _Asked) -> Page:
    page = Page()
    if not asked.counting and asked.window is None:
        page = await execute.page(
            at, asked.query, size=asked.size, after=asked.position, backwards=asked.backwards
        )
        if asked.position is None and not page.more:
            page.total = len(page.matches)
    if page.total is None and (asked.counting or asked.total in ("accurate", "estimate")):
        counted = execute.estimate if asked.total == "estimate" else execute.count
        page.total = await counted(at, asked.query)
    return page


def _wanted_total(request: Request) -> str | None:
    wanted = request.one("_total")
    if wanted is not None and wanted not in TOTALS:
        raise Invalid(Issue("value", f"_total={wanted!r}: expected one of {', '.join(TOTALS)}"))
    return wanted


def _entry(ctx: Context, row: Stored | Row, subset: Subset, mode: str) -> dict[str, Any]:
    assert row.content is not None
    return {
        "fullUrl": f"{ctx.base_url}/{row.type}/{row.id}",
        "resource": raw(subset.apply(row.content)),
        "search": {"mode": mode},
    }


def _path(request: Request) -> str:
    if request.compartment is not None:
        return "/".join([*request.compartment, request.type or "*"])
    return request.type


def _links(
    ctx: Context, request: Request, asked: _Asked, page: Page, more: Included
) -> list[tuple[str, str]]:
    path = _path(request)
    shaping = [item for item in request.query if shapes(item[0]) and not parsed(item[0])]
    applied = [*asked.query.applied, *shaping]
    plain = [item for item in applied if item[0] != "_cursor"]
    links = [("self", url(ctx, path, applied))]
    if asked.counting:
        return links
    links.append(("first", url(ctx, path, plain)))
    for relation, cursor in _neighbours(asked, page, more):
        at = [("_cursor", asked.signed(cursor))] if cursor else []
        links.append((relation, url(ctx, path, [*plain, *at])))
    return links


def _neighbours(asked: _Asked, page: Page, more: Included) -> Iterator[tuple[str, Cursor]]:
    """The cursors of the pages before and after, as far as there are any."""
    if asked.window is not None:
        beyond = asked.window.beyond
        yield "previous", asked.window.origin
    elif page.positions:
        first, last = page.positions
        # Where a page came from there was another one; beyond it there is one if it says so.
        beyond = last if asked.backwards or page.more else ()
        if page.more if asked.backwards else asked.position is not None:
            yield "previous", (_BEFORE, *first)
    else:
        return
    if more.window is not None:
        yield "next", (_INCLUDED, *more.window.packed())
    elif beyond:
        yield "next", (_AFTER, *beyond)
