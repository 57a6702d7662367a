"""From a resource a client sent to a version that storage can keep."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode, encode, encode_sorted
from fhir_server.indexing.changes import Change, take_effect
from fhir_server.indexing.definition import TYPE, check_definition
from fhir_server.interactions.auditing import change_line, refuse_change
from fhir_server.interactions.conforming import errors
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Resource, Result
from fhir_server.outcome import Invalid, Issue
from fhir_server.search.keys import hash64_uncached
from fhir_server.storage import definition_state, first_versions, resources
from fhir_server.storage.numbers import Claim
from fhir_server.storage.resources import Stored, Written, deleted_values
from fhir_server.storage.statements import Statements
from fhir_server.storage.store import Connection
from fhir_server.validation.structure import Checked

# Types of which a write has effects beside the resource.
_EFFECTIVE = {TYPE, *definition_state.TYPES}

_MILLISECOND = timedelta(milliseconds=1)

# So many first versions are stored by one statement; more are copied.
_FEW = 16
# After this many resources read again other requests of the process get their turn.
_TURN = 20


def check(engine: Engine, resource: Any, type_: str) -> Checked:
    """Check a resource's structure, that it is of the type the URL names, and R4's invariants.

    Raises `Invalid` with every issue found; 422 for a SearchParameter that cannot be used.
    """
    checked = engine.structure.check(resource)
    issues = checked.issues
    if isinstance(resource, dict) and resource.get("resourceType", type_) != type_:
        found = resource["resourceType"]
        issues = (
            Issue(
                "invalid",
                f"The URL is for the type {type_}, the body's resourceType is {found!r}",
                f"{found}.resourceType" if isinstance(found, str) else "",
            ),
            *issues,
        )
    if issues:
        raise Invalid(issues)
    if engine.demands.invariants is not None:
        broken = errors(engine.demands.invariants.check(resource))
        if broken:
            raise Invalid(broken)
    if type_ == TYPE:
        check_definition(resource, engine.definitions)
    return checked


@lru_cache(maxsize=128)
def instant_text(instant: datetime) -> str:
    """An R4 instant with milliseconds, in UTC."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def stamped(resource: Resource, id_: str, version: int, instant: datetime) -> Resource:
    """The resource with the id and meta that the server gives it (R4 resource.html#Meta)."""
    meta = dict(resource.get("meta") or {})
    meta["versionId"] = str(version)
    meta["lastUpdated"] = instant_text(instant)
    result: Resource = {"resourceType": resource["resourceType"], "id": id_, "meta": meta}
    for name, value in resource.items():
        if name not in result:
            result[name] = value
    return result


def first_version(
    engine: Engine, ctx: Context, resource: Resource, id_: str, rid: int, method: str
) -> Written:
    """The version that a create, or an update as create, stores. Raises a 405 `Refusal`."""
    refuse_change(resource["resourceType"], id_)
    instant = ctx.now()
    index = engine.index(ctx)
    content = stamped(resource, id_, 1, instant)
    type_ = content["resourceType"]
    json = encode(content)
    return Written(
        rid,
        type_,
        id_,
        1,
        instant,
        method,
        json,
        reference_key(type_, id_),
        index.extractor.extract(content),
        index.generation,
        change_line(engine.audit, ctx, (type_, id_), 1, method, json),
    )


def next_version(
    engine: Engine, ctx: Context, resource: Resource, old: Stored, method: str
) -> Written:
    """The version that follows `old`; always later than it, even when clocks disagree."""
    instant = max(ctx.now(), old.last_updated + _MILLISECOND)
    index = engine.index(ctx)
    content = stamped(resource, old.id, old.version + 1, instant)
    json = encode(content)
    return Written(
        old.rid,
        old.type,
        old.id,
        old.version + 1,
        instant,
        method,
        json,
        reference_key(old.type, old.id),
        index.extractor.extract(content),
        index.generation,
        change_line(engine.audit, ctx, (old.type, old.id), old.version + 1, method, json),
    )


async def insert(engine: Engine, ctx: Context, connection: Connection, row: Written) -> bool:
    """Store a first version; False, and nothing stored, when the identity is taken."""
    return await _store(engine, ctx, connection, row, None)


async def supersede(
    engine: Engine, ctx: Context, connection: Connection, row: Written, expected: int
) -> bool:
    """Store the next version; False, and nothing stored, when `expected` is not current."""
    return await _store(engine, ctx, connection, row, expected)


async def store_many(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    created: Sequence[Written],
    replaced: Sequence[tuple[Written, int]],
    claims: Sequence[Claim] = (),
) -> bool:
    """Store first and next versions of a transaction; False when one is not current any more.

    claims: numbers that the first versions claim; raises `NumberTaken` when one is taken.
    """
    statements = engine.statements(ctx)
    many = len(created) > _FEW
    assert not (many and claims), "who stores many has claimed before"
    if many:
        generation = await resources.pinned_generation(connection, statements)
        if any(row.generation != generation for row in created):
            await _extract_anew(engine, ctx, connection, created)
    rows = [*created, *(row for row, _ in replaced)]
    texts = {text for row in rows for text in row.values.texts}
    await engine.store.learn(connection, ctx.tenant, sorted(texts))
    if many:
        await resources.create_many(connection, statements, created)
    elif created:
        await _create_few(engine, ctx, connection, created, claims)
    for row, expected in replaced:
        if not await _store_version(engine, ctx, connection, row, expected):
            return False
    await _take_effect(ctx, connection, rows)
    return True


async def _create_few(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    rows: Sequence[Written],
    claims: Sequence[Claim],
) -> None:
    """Store first versions made with the newest search parameters."""
    statements = engine.statements(ctx)
    alike = len({row.generation for row in rows}) == 1
    while not alike or not await first_versions.create_some(connection, statements, rows, claims):
        await _extract_anew(engine, ctx, connection, rows)
        texts = {text for row in rows for text in row.values.texts}
        await engine.store.learn(connection, ctx.tenant, sorted(texts))
        alike = True


async def _store(
    engine: Engine, ctx: Context, connection: Connection, row: Written, expected: int | None
) -> bool:
    """Store a version; `expected` is the one that must be current, None for a first version."""
    await engine.store.learn(connection, ctx.tenant, row.values.texts)
    if row.type not in _EFFECTIVE:
        return await _store_version(engine, ctx, connection, row, expected)
    async with connection.transaction():
        stored = await _store_version(engine, ctx, connection, row, expected)
        if stored:
            await _take_effect(ctx, connection, [row])
    if row.type == TYPE and resources.commits_at_once(connection):
        await engine.indexes.reload(connection, ctx.tenant)
    return stored


async def _store_version(
    engine: Engine, ctx: Context, connection: Connection, row: Written, expected: int | None
) -> bool:
    """Store a version made with the newest search parameters, whatever it was made with before."""
    statements = engine.statements(ctx)
    while not await _try(connection, statements, row, expected):
        if await resources.generation(connection, statements) == row.generation:
            return False
        await _extract_anew(engine, ctx, connection, [row])
        await engine.store.learn(connection, ctx.tenant, row.values.texts)
    return True


async def _try(
    connection: Connection, statements: Statements, row: Written, expected: int | None
) -> bool:
    if expected is None:
        return await resources.create(connection, statements, row)
    return await resources.replace(connection, statements, row, expected)


async def _extract_anew(
    engine: Engine, ctx: Context, connection: Connection, rows: Sequence[Written]
) -> None:
    """Make the search values again, with the parameters of the newest generation."""
    index = await engine.indexes.reload(connection, ctx.tenant)
    for number, row in enumerate(rows):
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        if row.content is not None:
            row.values = index.extractor.extract(decode(row.content))
        row.generation = index.generation


async def _take_effect(ctx: Context, connection: Connection, rows: Sequence[Written]) -> None:
    """Let stored SearchParameters change what is indexed by, and definitions what is made of them.

    Last in a transaction: what it stores afterwards would have to know before others may.
    """
    if defining := definition_state.TYPES.intersection(row.type for row in rows):
        await definition_state.bump(connection, ctx.tenant, defining)
    changes = [
        Change(f"{TYPE}/{row.id}", None if row.content is None else decode(row.content))
        for row in rows
        if row.type == TYPE
    ]
    if changes:
        await take_effect(connection, ctx.tenant, changes, ctx.now())


def deletion(engine: Engine, ctx: Context, old: Stored) -> Written:
    """The version without content that a delete stores after `old`."""
    instant = max(ctx.now(), old.last_updated + _MILLISECOND)
    key = reference_key(old.type, old.id)
    generation = engine.index(ctx).generation
    return Written(
        old.rid,
        old.type,
        old.id,
        old.version + 1,
        instant,
        "DELETE",
        None,
        key,
        deleted_values(),
        generation,
        change_line(
            engine.audit, ctx, (old.type, old.id), old.version + 1, "DELETE", old.content or b""
        ),
    )


def unchanged(resource: Resource, old: Resource) -> bool:
    """Whether a resource differs from the stored one in nothing but version and time.

    Compared as text, because 1.0 and 1.00 are equal numbers but different content.
    """
    return encode_sorted(_without_stamp(resource)) == encode_sorted(_without_stamp(old))


def _without_stamp(resource: Resource) -> Resource:
    meta = {
        name: value
        for name, value in (resource.get("meta") or {}).items()
        if name not in ("versionId", "lastUpdated")
    }
    bare = {name: value for name, value in resource.items() if name != "meta"}
    if meta:
        bare["meta"] = meta
    return bare


def reference_key(type_: str, id_: str) -> int:
    """The hash under which references to a resource are found."""
    return hash64_uncached(f"{type_}/{id_}")


def result_of(stored: Stored, status: int, *, created: bool = False) -> Result:
    """The answer that shows a version."""
    return Result(
        status,
        stored.content,
        stored.type,
        stored.id,
        stored.version,
        stored.last_updated,
        created,
        written=isinstance(stored, Written),
    )
