"""Answers of operations that take several pages, as those of a search do."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.interactions.bundles import bundle, raw, url
from fhir_server.interactions.cursor import decode_cursor, encode_cursor
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.interactions.subset import Subset
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import execute
from fhir_server.search.execute import Page
from fhir_server.search.query import Query
from fhir_server.search.settle import Settling
from fhir_server.storage.resources import Stored

_AFTER, _BEFORE = "a", "b"


async def paged(
    engine: Engine, ctx: Context, at: Settling, query: Query, parameters: Parameters, path: str
) -> Result:
    """One page of what a query finds, a searchset with links to its neighbours.

    path: of the operation. Without `_count` a page is as large as the server allows.
    """
    request = parameters.request
    subset = Subset.of(engine.definitions, request)
    size = _size(parameters, engine.limits.largest_page)
    given = parameters.in_url() + [
        (name, text) for name, text in request.query if name in ("_elements", "_summary")
    ]
    secret = await engine.store.secret(at.connection, ctx.tenant, "cursor")
    purpose = f"{path}?{urlencode(given)}"
    text = request.one("_cursor")
    cursor = decode_cursor(secret, purpose, text) if text is not None else []
    counting = size == 0 or subset.summary == "count"
    page = Page() if counting else await _page(at, query, size, cursor)
    if page.total is None and (counting or not cursor):
        page.total = await execute.count(at, query)

    def link(relation: str, position: list[Any]) -> tuple[str, str]:
        to = [("_cursor", encode_cursor(secret, purpose, position))] if position else []
        return relation, url(ctx, path, [*given, *to])

    own = [("_cursor", text)] if text is not None else []
    links = [("self", url(ctx, path, [*given, *own]))]
    if not counting:
        links += [link("first", []), *(link(*each) for each in _neighbours(page, cursor))]
    entries = [_entry(ctx, row, subset) for row in page.matches]
    return Result(200, bundle(ctx, "searchset", links, entries, page.total))


def _size(parameters: Parameters, largest: int) -> int:
    given = parameters.one("_count")
    if given is None:
        return largest
    if given < 0:
        raise Invalid(Issue("value", f"_count={given}: expected 0 or more"))
    return min(int(given), largest)


async def _page(at: Settling, query: Query, size: int, cursor: list[Any]) -> Page:
    after = tuple(cursor[1:]) or None
    page = await execute.page(at, query, size=size, after=after, backwards=cursor[:1] == [_BEFORE])
    if not cursor and not page.more:
        page.total = len(page.matches)
    return page


def _neighbours(page: Page, cursor: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    if not page.positions:
        return
    first, last = page.positions
    backwards = cursor[:1] == [_BEFORE]
    if page.more if backwards else cursor:
        yield "previous", [_BEFORE, *first]
    if backwards or page.more:
        yield "next", [_AFTER, *last]


def _entry(ctx: Context, row: Stored, subset: Subset) -> dict[str, Any]:
    assert row.content is not None
    return {
        "fullUrl": f"{ctx.base_url}/{row.type}/{row.id}",
        "resource": raw(subset.apply(row.content)),
        "search": {"mode": "match"},
    }
