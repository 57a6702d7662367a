"""Patients that were merged: what referred to the one that is given up refers to the other.

HL7 v2 3.6.2 (A40).
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.changes import Change
from fhir_server.interactions.engine import Engine
from fhir_server.mapping.entries import Resource
from fhir_server.mapping.settling import Plan, survivors
from fhir_server.search.includes import references
from fhir_server.search.keys import key
from fhir_server.storage import resources
from fhir_server.storage.store import Connection

_PATIENT = "Patient"
# What tells of the past stays as it was told; patients are tied by links.
_AS_THEY_WERE = (_PATIENT, "Provenance", "AuditEvent")
# After so many resources other messages of the process get their turn.
_TURN = 20


def merged_away(plan: Plan) -> dict[str, str]:
    """`Patient/id` of those that a message gives up, with those that stand for them."""
    found = {}
    for each in plan.resources:
        if each.entry.name != "merged-patient" or each.old is None:
            continue
        for survivor in survivors([each.new or each.old]):
            found[f"{_PATIENT}/{each.id}"] = survivor
    return found


async def repointed(
    engine: Engine, ctx: Context, connection: Connection, merged: Mapping[str, str]
) -> list[Change]:
    """What refers to patients that are given up, as it refers to the others.

    Everything found is locked until the transaction ends.
    """
    if not merged:
        return []
    statements = engine.statements(ctx)
    keys = list(_keys(engine, ctx, merged))
    named = await resources.holding(connection, statements, keys, _AS_THEY_WERE)
    rows = await resources.lock_current(connection, statements, named)
    absolute = {f"{ctx.base_url}/{old}": new for old, new in merged.items()}
    found = []
    for number, (identity, row) in enumerate(rows.items()):
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        resource = decode(row.content) if row.content is not None else None
        if resource is not None and _point(resource, {**merged, **absolute}):
            found.append(Change(*identity, row, resource, "PUT"))
    return found


def _keys(engine: Engine, ctx: Context, patients: Collection[str]) -> Iterable[int]:
    """What is found by each parameter that may refer to a patient."""
    known = engine.index(ctx).parameters
    names = {
        parameter.name
        for type_ in known.types
        for parameter in references(known, type_)
        if not parameter.targets or _PATIENT in parameter.targets
    }
    return (key(name, patient) for name in sorted(names) for patient in patients)


def _point(value: Any, others: Mapping[str, str]) -> bool:
    """Whether any reference was among those to be changed; they are changed in place."""
    changed = False
    for each in _references(value):
        if (other := others.get(each["reference"])) is not None:
            each["reference"] = other
            changed = True
    return changed


def _references(value: Any) -> Iterator[Resource]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
