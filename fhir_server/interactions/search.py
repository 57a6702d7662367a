"""search of a type and of the system (R4 http.html#search)."""

from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.bundles import bundle, outcome_entry, page_size, raw, url
from fhir_server.interactions.cursor import decode_cursor, encode_cursor
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.subset import Subset
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import execute
from fhir_server.search.query import RESULT_PARAMETERS, Query, parse
from fhir_server.storage.resources import Stored

TOTALS = ("none", "estimate", "accurate")


async def search(engine: Engine, ctx: Context, request: Request) -> Result:
    """One page of what matches, newest first; the next link goes on where it ends.

    Raises `Invalid` for parameters that are not understood, unless the client prefers
    `handling=lenient`: then an outcome entry names them and the self link leaves them out.
    """
    lenient = request.prefer.handling == "lenient"
    query = parse(
        engine.index(ctx).parameters,
        request.type,
        request.query,
        engine.circumstances(ctx),
        lenient=lenient,
    )
    subset = Subset.of(engine.definitions, request)
    size = page_size(request, engine.limits.page, engine.limits.largest_page)
    wanted_total = _wanted_total(request)
    cursor = request.one("_cursor")
    after = None if cursor is None else decode_cursor(cursor, (int,))[0]
    schema = engine.statements(ctx).schema
    counting = subset.summary == "count" or size == 0
    async with engine.store.connection() as connection:
        page = execute.Page([], None)
        total = None
        if not counting:
            page = await execute.page(connection, schema, query, size=size, after=after)
            if after is None and page.following is None:
                total = len(page.matches)
        if counting or (total is None and wanted_total in ("accurate", "estimate")):
            total = await execute.count(connection, schema, query)
    entries = [_match(ctx, row, subset) for row in page.matches]
    if query.ignored:
        notes = [Issue(note.code, note.diagnostics, severity="warning") for note in query.ignored]
        entries.append(outcome_entry(notes))
    shown = None if wanted_total == "none" and not counting else total
    links = _links(ctx, request, query, page.following)
    return Result(200, bundle(ctx, "searchset", links, entries, shown))


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


def _links(
    ctx: Context, request: Request, query: Query, following: int | None
) -> list[tuple[str, str]]:
    shaping = [item for item in request.query if item[0] in RESULT_PARAMETERS]
    links = [("self", url(ctx, request.type, [*query.applied, *shaping]))]
    if following is not None:
        kept = [item for item in shaping if item[0] != "_cursor"]
        cursor = ("_cursor", encode_cursor([following]))
        links.append(("next", url(ctx, request.type, [*query.applied, *kept, cursor])))
    return links
