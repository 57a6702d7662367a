"""From a resource a client sent to a version that storage can keep."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import encode, encode_sorted
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Resource, Result
from fhir_server.outcome import Invalid, Issue
from fhir_server.search.keys import hash64_uncached
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored, Written, deleted_values
from fhir_server.storage.store import Connection
from fhir_server.validation.structure import Checked

_MILLISECOND = timedelta(milliseconds=1)


def check(engine: Engine, resource: Any, type_: str) -> Checked:
    """Check a resource's structure and that it is of the type the URL names.

    Raises `Invalid` with every issue found.
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
    """The version that a create, or an update as create, stores."""
    instant = ctx.now()
    content = stamped(resource, id_, 1, instant)
    type_ = content["resourceType"]
    return Written(
        rid,
        type_,
        id_,
        1,
        instant,
        method,
        encode(content),
        reference_key(type_, id_),
        engine.index(ctx).extractor.extract(content),
    )


def next_version(
    engine: Engine, ctx: Context, resource: Resource, old: Stored, method: str
) -> Written:
    """The version that follows `old`; always later than it, even when clocks disagree."""
    instant = max(ctx.now(), old.last_updated + _MILLISECOND)
    content = stamped(resource, old.id, old.version + 1, instant)
    return Written(
        old.rid,
        old.type,
        old.id,
        old.version + 1,
        instant,
        method,
        encode(content),
        reference_key(old.type, old.id),
        engine.index(ctx).extractor.extract(content),
    )


async def insert(engine: Engine, ctx: Context, connection: Connection, row: Written) -> bool:
    """Store a first version; False, and nothing stored, when the identity is taken."""
    await engine.store.learn(connection, ctx.tenant, row.values.texts)
    return await resources.create(connection, engine.statements(ctx), row)


async def supersede(
    engine: Engine, ctx: Context, connection: Connection, row: Written, expected: int
) -> bool:
    """Store the next version; False, and nothing stored, when `expected` is not current."""
    await engine.store.learn(connection, ctx.tenant, row.values.texts)
    return await resources.replace(connection, engine.statements(ctx), row, expected)


async def store_many(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    created: Sequence[Written],
    replaced: Sequence[tuple[Written, int]],
) -> bool:
    """Store first and next versions of a transaction; False when one is not current any more."""
    rows = [*created, *(row for row, _ in replaced)]
    texts = {text for row in rows for text in row.values.texts}
    await engine.store.learn(connection, ctx.tenant, sorted(texts))
    statements = engine.statements(ctx)
    await resources.create_many(connection, statements, created)
    return await resources.replace_many(connection, statements, replaced)


def deletion(ctx: Context, old: Stored) -> Written:
    """The version without content that a delete stores after `old`."""
    instant = max(ctx.now(), old.last_updated + _MILLISECOND)
    key = reference_key(old.type, old.id)
    values = deleted_values()
    return Written(old.rid, old.type, old.id, old.version + 1, instant, "DELETE", None, key, values)


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
    )
