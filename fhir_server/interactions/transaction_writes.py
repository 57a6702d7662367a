"""What the entries of a transaction store: each identity once, in a few statements."""

from collections.abc import Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.indexing.changes import ParameterRefused
from fhir_server.interactions.changes import store_changes
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.entries import WRITES
from fhir_server.interactions.guarding import guarded
from fhir_server.interactions.patch import METHOD
from fhir_server.interactions.result import Result
from fhir_server.interactions.rules import Change, RuleRefused, ruled
from fhir_server.interactions.transaction_steps import Current, Step, placed
from fhir_server.interactions.update import check_preconditions, check_untaken
from fhir_server.interactions.writing import result_of, unchanged
from fhir_server.outcome import Conflict, Issue, Refusal
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection

# What an entry is to change.
Proposal = tuple[Step, Change]


def propose(
    engine: Engine, ctx: Context, steps: Sequence[Step], current: Current
) -> list[Proposal]:
    """What each entry that writes is to change; one that changes nothing gets its result.

    Raises `PreconditionFailed`, `Conflict`, and a 403 `Refusal` for what is not granted.
    """
    found = []
    for step in steps:
        if step.entry.method in WRITES and step.definition.operation is None:
            old = current.get((step.request.type, step.id))
            if not (step.entry.method == "POST" and step.exists):
                step.entry.resource = _guarded(engine, ctx, step, old)
            change = _PROPOSALS[step.entry.method](step, old)
            if change is not None:
                found.append((step, change))
    return found


def _guarded(engine: Engine, ctx: Context, step: Step, old: Stored | None) -> Any:
    """What an entry is to store, if that is granted."""
    id_ = "" if step.entry.method == "POST" else step.id
    new = None if step.entry.method == "DELETE" else step.entry.resource
    try:
        return guarded(engine, ctx, (step.request.type, id_), old, new)
    except Refusal as refusal:
        issues = placed(refusal, step.entry.index)
        raise Refusal(issues, status=refusal.status) from refusal


async def obey(
    engine: Engine, ctx: Context, connection: Connection, proposals: Sequence[Proposal]
) -> list[Change]:
    """Everything to be stored, by the rules that concern some of it."""
    changes: dict[bool, list[Change]] = {True: [], False: []}
    for _, change in proposals:
        changes[_has_rules(engine, change)].append(change)
    others = changes[False]
    if not changes[True]:
        return others
    try:
        obeying = await engine.rules.apply(engine, ctx.trusted(), connection, changes[True], others)
    except RuleRefused as refusal:
        raise _at_its_entry(refusal, refusal.source, proposals) from refusal
    for step, change in proposals:
        step.entry.resource = change.new
    return [*others, *obeying]


def _has_rules(engine: Engine, change: Change) -> bool:
    if change.method == "POST":
        return change.new is not None and engine.rules.concern(change.new)
    return ruled(engine.rules, change.type, change.new or {"resourceType": change.type})


async def write(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    proposals: Sequence[Proposal],
    changes: Sequence[Change],
) -> None:
    """Store the changes and tell each entry what came of it."""
    try:
        stored = await store_changes(engine, ctx, connection, changes)
    except ParameterRefused as refusal:
        raise _at_its_entry(refusal, refusal.source, proposals) from refusal
    versions = {(each.type, each.id): each for each in stored}
    for step, change in proposals:
        step.result = _result(change, versions[change.identity])


def _result(change: Change, stored: Stored) -> Result:
    if change.new is None:
        return Result(204, type=stored.type, id=stored.id, version=stored.version, written=True)
    exists = change.old is not None and change.old.content is not None
    return result_of(stored, 200 if exists else 201, created=True)


def _at_its_entry(refusal: Refusal, source: str, proposals: Sequence[Proposal]) -> Refusal:
    for step, change in proposals:
        if change.reference == source:
            return Refusal(placed(refusal, step.entry.index), status=refusal.status)
    return refusal


def _create(step: Step, old: Stored | None) -> Change | None:
    if not step.exists:
        return Change(step.request.type, step.id, None, step.entry.resource, "POST")
    if old is None or old.content is None:
        raise Conflict(Issue("transient", f"{step.request.type}/{step.id} was just deleted"))
    step.result = result_of(old, 200, created=True)
    return None


def _update(step: Step, old: Stored | None) -> Change | None:
    check_preconditions(step.request, old)
    if step.condition is not None and not step.exists:
        check_untaken(step.condition, step.id, old)
    if old is not None and old.content is not None and _unchanged(step, old):
        step.result = result_of(old, 200, created=True)
        return None
    return Change(step.request.type, step.id, old, step.entry.resource, "PUT")


def _unchanged(step: Step, old: Stored) -> bool:
    return unchanged(step.entry.resource, decode(old.content or b""))


def _patch(step: Step, old: Stored | None) -> Change | None:
    assert old is not None
    if _unchanged(step, old):
        step.result = result_of(old, 200)
        return None
    return Change(step.request.type, step.id, old, step.entry.resource, METHOD)


def _delete(step: Step, old: Stored | None) -> Change | None:
    check_preconditions(step.request, old)
    if old is None or old.content is None:
        step.result = Result(204)
        return None
    return Change(step.request.type, step.id, old, None, "DELETE")


_PROPOSALS = {"POST": _create, "PUT": _update, "PATCH": _patch, "DELETE": _delete}
