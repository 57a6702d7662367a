"""The audit trail as AuditEvents: read, vread, history and search, beside those that are stored.

The events of the trail are no resources: they are made when somebody asks, have ids of their own
and one version each, and cannot be changed.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.audit.asking import Asking
from fhir_server.audit.resource import PREFIX, TYPE, audit_event
from fhir_server.context import Context
from fhir_server.fhir_json import decode, encode
from fhir_server.interactions import history, read, search
from fhir_server.interactions.auditing import of_trail
from fhir_server.interactions.bundles import bundle, page_size, raw, url
from fhir_server.interactions.compartments import membership
from fhir_server.interactions.cursor import decode_cursor, encode_cursor
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.subset import Subset
from fhir_server.outcome import Forbidden, Invalid, Issue, NotFound
from fhir_server.search import execute
from fhir_server.search.belonging import reference_keys
from fhir_server.search.keys import hash64_uncached
from fhir_server.search.query import Query
from fhir_server.search.settle import Settling
from fhir_server.search.values import Instants
from fhir_server.security.access import READ, SEARCH, Grant
from fhir_server.storage import audit_reading
from fhir_server.storage.audit_reading import FIRST, LAST, Row, Test
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SORTS = ("date", "-date", "_lastUpdated", "-_lastUpdated")

# An entry of a page: its place in time, and either side that it is of.
_Entry = tuple[int, Row | Stored]


async def read_one(engine: Engine, ctx: Context, request: Request) -> Result:
    """read (R4 http.html#read), of a resource or of an event."""
    if not of_trail(request.type, request.id):
        return await read.read(engine, ctx, request)
    return await _event(engine, ctx, request)


async def read_version(engine: Engine, ctx: Context, request: Request) -> Result:
    """vread (R4 http.html#vread), of a resource or of an event, which has one version."""
    if not of_trail(request.type, request.id):
        return await read.vread(engine, ctx, request)
    if request.version != "1":
        text = f"{request.type}/{request.id} has no version {request.version!r}"
        raise NotFound(Issue("not-found", text))
    return await _event(engine, ctx, request)


async def instance_history(engine: Engine, ctx: Context, request: Request) -> Result:
    """history of an instance (R4 http.html#history), be it a resource or an event."""
    if not of_trail(request.type, request.id):
        return await history.instance_history(engine, ctx, request)
    result = await _event(engine, ctx, request)
    assert result.body is not None
    identity = f"{TYPE}/{request.id}"
    entry = {
        "fullUrl": f"{ctx.base_url}/{identity}",
        "resource": raw(result.body),
        "request": {"method": "POST", "url": TYPE},
        "response": {"status": "201 Created", "etag": 'W/"1"'},
    }
    links = [("self", url(ctx, f"{identity}/_history", request.query))]
    return Result(200, bundle(ctx, "history", links, [entry], 1))


async def search_all(engine: Engine, ctx: Context, request: Request) -> Result:
    """search (R4 http.html#search); of AuditEvents with those of the trail, by time.

    Raises `Invalid` for what cannot be asked of the trail.
    """
    if request.type != TYPE or not await _kept(engine, ctx):
        return await search.search(engine, ctx, request)
    await engine.audit.settle(ctx.tenant)
    async with engine.store.connection(ctx.tenant) as connection:
        return await _Search(engine, ctx, request, connection).result()


async def _kept(engine: Engine, ctx: Context) -> bool:
    """Whether there is a trail, even if nothing is added to it now."""
    if engine.audit.on:
        return True
    async with engine.store.connection(ctx.tenant) as connection:
        return await audit_reading.any_event(connection, ctx.tenant)


async def _event(engine: Engine, ctx: Context, request: Request) -> Result:
    await engine.audit.settle(ctx.tenant)
    subset = Subset.of(engine.definitions, request)
    async with engine.store.connection(ctx.tenant) as connection:
        asking = _asking(engine, ctx, engine.settling(ctx, connection))
        tests = await asking.tests([("_id", request.id)])
        tests += await _granted(asking, ctx, READ)
        rows = await audit_reading.page(connection, ctx.tenant, tests, LAST, 1)
        if not rows:
            raise read.not_found(request.type, request.id)
        names = await audit_reading.names(connection, ctx.tenant, rows[0].keys)
    at = _EPOCH + timedelta(microseconds=rows[0].recorded)
    body = subset.apply(encode(audit_event(rows[0], names)))
    return Result(200, body, TYPE, request.id, 1, at)


def _asking(engine: Engine, ctx: Context, at: Settling) -> Asking:
    async def belonging(reference: str) -> list[int]:
        owner, _, id_ = reference.partition("/")
        if owner not in engine.definitions.compartments:
            raise Invalid(Issue("value", f"{reference!r} has no compartment"))
        known = engine.index(ctx).parameters
        members = membership(engine.definitions, known, (owner, id_), "")
        own = hash64_uncached(reference)
        return [own, *await reference_keys(at, members)]

    return Asking(ctx.base_url, Instants(engine.where.zone), belonging)


async def _granted(asking: Asking, ctx: Context, letter: str) -> list[Test]:
    """What events have to meet for the principal to see them. Raises a 403 `Refusal`."""
    if ctx.access.unlimited or ctx.access.everyone(TYPE, letter):
        return []
    found = []
    for layer in ctx.access.granting(TYPE, letter) or ((),):
        if any(grant.every for grant in layer):
            continue
        keys = [key for grant in layer for key in await _about(asking, grant)]
        if not keys:
            text = "What is granted to you of AuditEvents cannot be told of the audit trail"
            raise Forbidden(Issue("forbidden", text))
        found.append(audit_reading.about(keys))
    return found


async def _about(asking: Asking, grant: Grant) -> list[int]:
    if grant.compartment is None or grant.where:
        return []
    return list(await asking.belonging("/".join(grant.compartment)))


class _Search:
    """One page of a search over what is stored and over the trail, merged by time."""

    def __init__(
        self, engine: Engine, ctx: Context, request: Request, connection: Connection
    ) -> None:
        self._engine = engine
        self._ctx = ctx
        self._request = request
        self._connection = connection
        self._at = engine.settling(ctx, connection)
        self._instants = Instants(engine.where.zone)
        self._subset = Subset.of(engine.definitions, request)
        self._size = page_size(request, engine.limits.page, engine.limits.largest_page)
        self._sort = request.one("_sort") or "-date"
        if self._sort not in _SORTS:
            text = (
                f"_sort={self._sort!r}: with the audit trail, expected one of {', '.join(_SORTS)}"
            )
            raise Invalid(Issue("not-supported", text))

    async def result(self) -> Result:
        tests = await self._tests()
        query = self._stored_query()
        secret = await self._engine.store.secret(self._connection, self._ctx.tenant, "cursor")
        entries: list[_Entry] = []
        cursor: list[Any] | None = None
        if not self._counting:
            entries, cursor = await self._page(query, tests, self._position(secret))
        total = await self._total(query, tests, len(entries) if cursor is None else None)
        links = [("self", self._url(self._request.query))]
        if not self._counting:
            plain = [item for item in self._request.query if item[0] != "_cursor"]
            links.append(("first", self._url(plain)))
            if cursor is not None:
                text = encode_cursor(secret, self._purpose, cursor)
                links.append(("next", self._url([*plain, ("_cursor", text)])))
        shown = await self._shown(entries)
        return Result(200, bundle(self._ctx, "searchset", links, shown, total))

    @property
    def _counting(self) -> bool:
        return self._subset.summary == "count" or self._size == 0

    @property
    def _oldest_first(self) -> bool:
        return not self._sort.startswith("-")

    @property
    def _path(self) -> str:
        return "/".join([*(self._request.compartment or ()), TYPE])

    @property
    def _purpose(self) -> str:
        plain = sorted(item for item in self._request.query if item[0] != "_cursor")
        return f"trail {self._path} {plain}"

    def _url(self, query: list[tuple[str, str]]) -> str:
        return url(self._ctx, self._path, query)

    async def _tests(self) -> list[Test]:
        asking = _asking(self._engine, self._ctx, self._at)
        tests = await asking.tests(self._request.query)
        compartment = self._request.compartment
        if compartment is not None and compartment[0] == "Patient":
            tests.append(audit_reading.about(await asking.belonging("/".join(compartment))))
        elif compartment is not None:
            tests.append(audit_reading.is_one("fhir_user", ["/".join(compartment)]))
        return tests + await _granted(asking, self._ctx, SEARCH)

    def _stored_query(self) -> Query:
        kept = [
            item
            for item in self._request.query
            if item[0] not in ("_sort", "_cursor", "_count", "_total")
        ]
        asked = replace(self._request, query=[*kept, ("_sort", self._sort)])
        return search.understood(self._engine, self._ctx, asked)

    def _position(self, secret: bytes) -> list[Any]:
        text = self._request.one("_cursor")
        return [] if text is None else decode_cursor(secret, self._purpose, text)

    async def _page(
        self, query: Query, tests: list[Test], position: list[Any]
    ) -> tuple[list[_Entry], list[Any] | None]:
        """The entries of the page, and where the next one begins if there is one."""
        start = FIRST if self._oldest_first else LAST
        after = (position[0], position[1]) if position else start
        before = tuple(position[2:]) or None
        size = self._size
        found = await execute.page(self._at, query, size=size, after=before)
        rows = await audit_reading.page(
            self._connection,
            self._ctx.tenant,
            tests,
            after,
            size + 1,
            oldest_first=self._oldest_first,
        )
        merged: list[_Entry] = [(self._time(each), each) for each in found.matches]
        merged += [(row.recorded, row) for row in rows]
        merged.sort(key=lambda entry: entry[0], reverse=not self._oldest_first)
        page = merged[:size]
        if len(merged) <= size and not found.more:
            return page, None
        taken = [entry for _, entry in page if isinstance(entry, Row)]
        if taken:
            after = (taken[-1].recorded, taken[-1].seq)
        number = len(page) - len(taken)
        if number:
            if number < len(found.matches):
                found = await execute.page(self._at, query, size=number, after=before)
            before = found.positions[1]
        return page, [*after, *(before or ())]

    def _time(self, stored: Stored) -> int:
        if self._sort.endswith("_lastUpdated"):
            return (stored.last_updated - _EPOCH) // timedelta(microseconds=1)
        assert stored.content is not None
        return self._instants.of_text(decode(stored.content)["recorded"])[0]

    async def _total(self, query: Query, tests: list[Test], known: int | None) -> int | None:
        wanted = self._request.one("_total")
        if wanted not in (None, *search.TOTALS):
            expected = ", ".join(search.TOTALS)
            raise Invalid(Issue("value", f"_total={wanted!r}: expected one of {expected}"))
        if wanted == "none" and not self._counting:
            return None
        if not self._counting and known is not None and self._request.one("_cursor") is None:
            return known
        if not self._counting and wanted is None:
            return None
        counted = execute.estimate if wanted == "estimate" else execute.count
        stored = await counted(self._at, query)
        return stored + await audit_reading.count(self._connection, self._ctx.tenant, tests)

    async def _shown(self, entries: list[_Entry]) -> list[dict[str, Any]]:
        keys = {key for _, each in entries if isinstance(each, Row) for key in each.keys}
        names = await audit_reading.names(self._connection, self._ctx.tenant, sorted(keys))
        found = []
        for _, each in entries:
            if isinstance(each, Row):
                id_, content = f"{PREFIX}{each.seq}", encode(audit_event(each, names))
            else:
                assert each.content is not None
                id_, content = each.id, each.content
            found.append(
                {
                    "fullUrl": f"{self._ctx.base_url}/{TYPE}/{id_}",
                    "resource": raw(self._subset.apply(content)),
                    "search": {"mode": "match"},
                }
            )
        return found
