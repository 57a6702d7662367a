"""transaction: all entries or none (R4 http.html#transaction, #trules).

Done set by set rather than entry by entry: conditions, existing versions and new versions each
take a few statements, however many entries there are.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.indexing.changes import ParameterRefused
from fhir_server.interactions.conditional import Condition, matches, one_match
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.entries import WRITES, Entry, answer, fill, read_entry
from fhir_server.interactions.patch import METHOD, current_to_patch, no_match, patched
from fhir_server.interactions.references import Targets, settle_conditional
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.interactions.update import (
    check_id,
    check_preconditions,
    check_untaken,
    target_id,
)
from fhir_server.interactions.writing import (
    check,
    deletion,
    first_version,
    next_version,
    result_of,
    store_many,
    unchanged,
)
from fhir_server.outcome import Conflict, Invalid, Issue, NotFound, Refusal, Unavailable
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored, Written
from fhir_server.storage.store import Connection
from fhir_server.validation.structure import Checked

# Versions by type and id.
_Current = dict[tuple[str, str], Stored]

# After this many entries other requests of the process get their turn.
_TURN = 50


@dataclass(slots=True)
class _Step:
    """One entry on its way: what it asks for, then what it means, then what came of it."""

    entry: Entry
    definition: InteractionDefinition
    request: Request
    checked: Checked | None = None
    condition: Condition | None = None
    id: str = ""
    exists: bool = False  # what the condition asks for
    result: Result | None = None

    @property
    def writes(self) -> bool:
        """Whether it makes a version, rather than only reading or finding what exists."""
        if self.entry.method == "POST":
            return self.checked is not None and not self.exists
        return self.entry.method in WRITES and bool(self.id)


@dataclass(slots=True)
class _Plan:
    """The versions to be written."""

    created: list[Written] = field(default_factory=list)
    replaced: list[tuple[Written, int]] = field(default_factory=list)


async def transaction(
    engine: Engine, ctx: Context, request: Request, raw_entries: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Carry out all entries, or none. The answers stand in the order of the entries.

    Raises the `Refusal` of the first stage that fails, with the issues of all its entries.
    """
    steps = await _read_steps(engine, ctx, request, raw_entries)
    async with engine.store.transaction() as connection:
        await _resolve_conditions(engine, ctx, connection, steps)
        _check_overlap(steps)
        current = await _lock_current(engine, ctx, connection, steps)
        await _apply_patches(engine, steps, current)
        await _settle_references(engine, ctx, connection, steps)
        # Only now, after waiting for locks, so that versions appear soon after their time.
        ctx = ctx.at_once()
        await _write(engine, ctx, connection, steps, current)
        await _read(engine.within(connection), ctx, steps)
    answers = []
    for step in sorted(steps, key=lambda step: step.entry.index):
        assert step.result is not None
        answers.append(answer(ctx, step.result, step.entry.method, request.prefer))
    return answers


async def _read_steps(
    engine: Engine, ctx: Context, outer: Request, raw_entries: Sequence[dict[str, Any]]
) -> list[_Step]:
    """Understand and check every entry. Raises `Invalid` with everything wrong in any of them."""
    steps: list[_Step] = []
    issues: list[Issue] = []
    status = 400
    for index, raw_entry in enumerate(raw_entries):
        if index % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        try:
            steps.append(_read_step(engine, ctx, outer, index, raw_entry))
        except Unavailable:
            raise
        except Refusal as refusal:
            issues.extend(_placed(refusal, index))
            status = max(status, refusal.status) if len(raw_entries) == 1 else 400
    urls = Counter(step.entry.full_url for step in steps if step.entry.full_url)
    for full_url, times in urls.items():
        if times > 1 and full_url.startswith("urn:"):
            text = f"{times} entries have the fullUrl {full_url!r}; expected one"
            issues.append(Issue("invalid", text, "Bundle.entry"))
    if issues:
        raise Invalid(issues)
    return steps


def _placed(refusal: Refusal, index: int) -> list[Issue]:
    """A refusal's issues, located below the entry's resource."""
    place = f"Bundle.entry[{index}]"
    placed = []
    for issue in refusal.issues:
        if issue.expression.startswith("Bundle.entry["):
            placed.append(issue)
        else:
            element = issue.expression.partition(".")[2]
            path = f"{place}.resource" + (f".{element}" if element else "")
            located = Issue(issue.code, issue.diagnostics, path if issue.expression else place)
            placed.append(located)
    return placed


def _read_step(
    engine: Engine, ctx: Context, outer: Request, index: int, raw_entry: dict[str, Any]
) -> _Step:
    entry = read_entry(ctx, index, raw_entry)
    definition, request = engine.router.route(entry.method, entry.segments)
    fill(request, entry, outer.prefer)
    step = _Step(entry, definition, request)
    if definition.name not in _STARTS:
        if entry.method not in ("GET", "HEAD"):
            text = f"{entry.method} {entry.request['url']} is not possible in a transaction"
            raise Invalid(Issue("not-supported", text, f"{entry.place}.request"))
        return step
    if entry.resource is not None and entry.method in ("POST", "PUT"):
        step.checked = check(engine, entry.resource, request.type)
    _STARTS[definition.name](engine, ctx, step)
    return step


def _start_create(engine: Engine, ctx: Context, step: _Step) -> None:
    if step.request.if_none_exist is not None:
        step.condition = Condition.of_text(
            engine, ctx, step.request.type, step.request.if_none_exist
        )
    step.id = ctx.new_id()


def _start_update(engine: Engine, ctx: Context, step: _Step) -> None:
    check_id(step.request.id)
    step.id = step.request.id
    given = step.entry.resource.get("id")
    if given != step.id:
        text = f"The url names the id {step.id!r}, the resource {given!r}; expected the same"
        raise Invalid(Issue("invalid", text, f"{step.entry.place}.resource.id"))


def _start_with_id(engine: Engine, ctx: Context, step: _Step) -> None:
    step.id = step.request.id


def _start_conditional(engine: Engine, ctx: Context, step: _Step) -> None:
    step.condition = Condition(engine, ctx, step.request.type, step.request.query)


# How each interaction that writes begins, by its name in the registry.
_STARTS = {
    "create": _start_create,
    "update": _start_update,
    "patch": _start_with_id,
    "delete": _start_with_id,
    "update-conditional": _start_conditional,
    "patch-conditional": _start_conditional,
    "delete-conditional": _start_conditional,
}


async def _resolve_conditions(
    engine: Engine, ctx: Context, connection: Connection, steps: Sequence[_Step]
) -> None:
    """Find what each condition means, holding its lock so that no other writer decides too."""
    waiting = [(step, step.condition) for step in steps if step.condition is not None]
    if not waiting:
        return
    conditions = [condition for _, condition in waiting]
    await resources.lock_names(connection, [condition.lock for condition in conditions])
    found = await matches(engine, ctx, connection, conditions)
    for step, condition in waiting:
        match = one_match(condition, found[condition.text])
        if step.entry.method == "PUT":
            step.id = target_id(ctx, step.entry.resource, condition, match)
            step.exists = match is not None
            step.entry.resource["id"] = step.id
        elif step.entry.method == "PATCH" and match is None:
            raise NotFound(_placed(no_match(condition), step.entry.index))
        elif step.entry.method in ("DELETE", "PATCH"):
            step.id = match or ""
        elif match is not None:
            step.id, step.exists = match, True
        step.request.id = step.id


def _check_overlap(steps: Sequence[_Step]) -> None:
    """Raises `Invalid` when two entries mean one identity, so that their order would matter."""
    seen: dict[str, _Step] = {}
    issues = []
    for step in steps:
        names = []
        if step.writes:
            names.append(f"{step.request.type}/{step.id}")
        if step.entry.method in ("POST", "PUT") and step.condition is not None:
            names.append(step.condition.text)
        for name in names:
            other = seen.setdefault(name, step)
            if other is not step:
                issues.append(_overlap(other, step, name))
    for step in steps:
        name = f"{step.request.type}/{step.id}"
        if step.entry.method == "POST" and step.exists and name in seen:
            other = seen[name]
            if other.entry.method == "DELETE":
                issues.append(_overlap(other, step, name))
    if issues:
        raise Invalid(issues)


def _overlap(first: _Step, second: _Step, name: str) -> Issue:
    text = f"Entries {first.entry.index} and {second.entry.index} both mean {name}"
    return Issue("duplicate", text, second.entry.place)


async def _lock_current(
    engine: Engine, ctx: Context, connection: Connection, steps: Sequence[_Step]
) -> _Current:
    """The current version of everything that is changed, which nobody else changes from now on."""
    known = [
        (step.request.type, step.id)
        for step in steps
        if step.id and (step.entry.method in ("PUT", "PATCH", "DELETE") or step.exists)
    ]
    return await resources.lock_current(connection, engine.statements(ctx), known)


async def _apply_patches(engine: Engine, steps: Sequence[_Step], current: _Current) -> None:
    """Replace each patch by what it makes of its target, which is then written as an update is."""
    patching = [step for step in steps if step.request.patch is not None]
    for number, step in enumerate(patching):
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        try:
            old = current_to_patch(step.request, current.get((step.request.type, step.id)))
            step.entry.resource, step.checked = patched(engine, step.request, old)
        except Refusal as refusal:
            issues = _placed(refusal, step.entry.index)
            raise Refusal(issues, status=refusal.status, headers=refusal.headers) from refusal


async def _settle_references(
    engine: Engine, ctx: Context, connection: Connection, steps: Sequence[_Step]
) -> None:
    """Replace references to entries, and conditional ones, by what they become."""
    targets = Targets(ctx.base_url)
    holders = [(step, step.checked) for step in steps if step.checked is not None]
    for step, _ in holders:
        if step.entry.full_url:
            targets.add(step.entry.full_url, f"{step.request.type}/{step.id}")
    issues = []
    for step, checked in holders:
        unknown = targets.rewrite(checked.references, checked.links, step.entry.full_url)
        for urn in unknown:
            text = f"The reference {urn!r} is the fullUrl of no entry of this transaction"
            issues.append(Issue("not-found", text, f"{step.entry.place}.resource"))
    if issues:
        raise Invalid(issues)
    references = [item for step, checked in holders if step.writes for item in checked.references]
    await settle_conditional(engine, ctx, connection, references)


async def _write(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    steps: Sequence[_Step],
    current: _Current,
) -> None:
    """Store what the entries ask for: deletes, creates and updates, each identity once."""
    plan = _Plan()
    writing = [step for step in steps if step.entry.method in WRITES]
    rids = iter(await engine.store.row_ids(connection, ctx.tenant, len(writing)))
    for number, step in enumerate(writing):
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        old = current.get((step.request.type, step.id))
        step.result = _PLANS[step.entry.method](engine, ctx, plan, step, old, next(rids))
    try:
        stored = await store_many(engine, ctx, connection, plan.created, plan.replaced)
    except ParameterRefused as refusal:
        raise _at_its_entry(refusal, writing) from refusal
    if not stored:
        raise Conflict(Issue("transient", "Another writer was faster; try again"))


def _at_its_entry(refusal: ParameterRefused, steps: Sequence[_Step]) -> Refusal:
    for step in steps:
        if f"{step.request.type}/{step.id}" == refusal.source:
            return Refusal(_placed(refusal, step.entry.index), status=refusal.status)
    return refusal


def _plan_create(
    engine: Engine, ctx: Context, plan: _Plan, step: _Step, old: Stored | None, rid: int
) -> Result:
    if step.exists:
        if old is None or old.content is None:
            raise Conflict(Issue("transient", f"{step.request.type}/{step.id} was just deleted"))
        return result_of(old, 200, created=True)
    row = first_version(engine, ctx, step.entry.resource, step.id, rid, "POST")
    plan.created.append(row)
    return result_of(row, 201, created=True)


def _plan_update(
    engine: Engine, ctx: Context, plan: _Plan, step: _Step, old: Stored | None, rid: int
) -> Result:
    check_preconditions(step.request, old)
    if step.condition is not None and not step.exists:
        check_untaken(step.condition, step.id, old)
    resource = step.entry.resource
    if old is None:
        row = first_version(engine, ctx, resource, step.id, rid, "PUT")
        plan.created.append(row)
        return result_of(row, 201, created=True)
    if old.content is not None and unchanged(resource, decode(old.content)):
        return result_of(old, 200, created=True)
    row = next_version(engine, ctx, resource, old, "PUT")
    plan.replaced.append((row, old.version))
    return result_of(row, 200 if old.content is not None else 201, created=True)


def _plan_patch(
    engine: Engine, ctx: Context, plan: _Plan, step: _Step, old: Stored | None, rid: int
) -> Result:
    assert old is not None
    resource = step.entry.resource
    if unchanged(resource, decode(old.content or b"")):
        return result_of(old, 200)
    row = next_version(engine, ctx, resource, old, METHOD)
    plan.replaced.append((row, old.version))
    return result_of(row, 200, created=True)


def _plan_delete(
    engine: Engine, ctx: Context, plan: _Plan, step: _Step, old: Stored | None, rid: int
) -> Result:
    check_preconditions(step.request, old)
    if old is None or old.content is None:
        return Result(204)
    row = deletion(engine, ctx, old)
    plan.replaced.append((row, old.version))
    return Result(204, type=row.type, id=row.id, version=row.version)


_PLANS = {
    "POST": _plan_create,
    "PUT": _plan_update,
    "PATCH": _plan_patch,
    "DELETE": _plan_delete,
}


async def _read(engine: Engine, ctx: Context, steps: Sequence[_Step]) -> None:
    """Carry out what only reads, after everything is written."""
    for step in steps:
        if step.result is None:
            try:
                step.result = await step.definition.handler(engine, ctx, step.request)
            except Refusal as refusal:
                issues = _placed(refusal, step.entry.index)
                raise Refusal(issues, status=refusal.status) from refusal
