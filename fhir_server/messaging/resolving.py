"""What the resources of a message are here: looked up at once, and held while that is decided."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.conditional import Condition, matches
from fhir_server.interactions.engine import Engine
from fhir_server.mapping.convert import Mapped
from fhir_server.mapping.entries import Resource
from fhir_server.mapping.settling import Plan, follows, settle, survivors, wanted
from fhir_server.messaging.types import RESOURCE_ID
from fhir_server.storage import message_times, resources
from fhir_server.storage.store import Connection

# A record that took over another one may have been taken over itself.
_MOST_MERGES = 10


async def plan_of(engine: Engine, ctx: Context, connection: Connection, mapped: Mapped) -> Plan:
    """What a message changes, by what is stored now.

    Everything found is locked, and so are the identifiers themselves, lest somebody else creates
    the same meanwhile.
    """
    conditions = {each: _condition(engine, ctx, *each) for each in wanted(mapped)}
    names = [condition.lock for condition in conditions.values()]
    await resources.lock_names(connection, names)
    hits = await matches(engine, ctx, connection, conditions.values())
    ids = {key: [f"{key[0]}/{id_}" for id_ in hits.get(condition.text, ())]
           for key, condition in conditions.items()}  # fmt: skip
    for type_, token in ids:
        system, _, id_ = token.partition("|")
        if system == RESOURCE_ID and not ids[type_, token]:
            ids[type_, token] = [f"{type_}/{id_}"]
    held = await _held(engine, ctx, connection, {each for found in ids.values() for each in found})
    found = {key: [held[each] for each in given if each in held] for key, given in ids.items()}
    others = await _survivors(engine, ctx, connection, held)
    latest = await _latest(ctx, connection, mapped, [*held, *others])
    return settle(mapped, found, lambda: str(uuid.uuid4()), others, latest)


async def _latest(
    ctx: Context, connection: Connection, mapped: Mapped, references: Sequence[str]
) -> dict[message_times.Identity, datetime]:
    """When the newest message about each of these was recorded, if this one may change any."""
    if not any(follows(each) for each in mapped.entries):
        return {}
    parts = (each.partition("/") for each in references)
    named = [(type_, id_) for type_, _, id_ in parts]
    return await message_times.latest(connection, ctx.tenant, named)


async def _survivors(
    engine: Engine, ctx: Context, connection: Connection, held: dict[str, Resource]
) -> dict[str, Resource]:
    """Those that stand for merged patients, by reference."""
    others: dict[str, Resource] = {}
    latest = held
    for _ in range(_MOST_MERGES):
        named = set(survivors(latest.values())) - others.keys()
        if not named:
            break
        latest = await _held(engine, ctx, connection, named)
        others |= latest
    return others


async def _held(
    engine: Engine, ctx: Context, connection: Connection, references: set[str]
) -> dict[str, Resource]:
    """The current versions by `Type/id`, which nobody else changes until the transaction ends."""
    identities = [(type_, id_) for type_, _, id_ in (each.partition("/") for each in references)]
    if not identities:
        return {}
    rows = await resources.lock_current(connection, engine.statements(ctx), identities)
    return {
        f"{type_}/{id_}": decode(row.content)
        for (type_, id_), row in rows.items()
        if row.content is not None
    }


def _condition(engine: Engine, ctx: Context, *key: str) -> Condition:
    type_, token = key
    system, bar, value = token.partition("|")
    value = bar.join(map(_escaped, (system, value))) if bar else _escaped(token)
    return Condition(engine, ctx, type_, [("identifier", value)])


def _escaped(text: str) -> str:
    for special in ("\\", "$", ",", "|"):
        text = text.replace(special, f"\\{special}")
    return text
