"""transaction: all entries or none (R4 http.html#transaction, #trules).

Done set by set rather than entry by entry: conditions, existing versions and new versions each
take a few statements, however many entries there are.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.indexing.definition import TYPE as SEARCH_PARAMETER
from fhir_server.interactions.auditing import refuse_change
from fhir_server.interactions.conditional import Condition, matches, one_match
from fhir_server.interactions.conforming import Conforming
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.entries import answer, fill, read_entry
from fhir_server.interactions.patch import current_to_patch, no_match, patched
from fhir_server.interactions.performing import check_granted, perform
from fhir_server.interactions.references import Targets, settle_conditional
from fhir_server.interactions.request import Request
from fhir_server.interactions.rules import Change
from fhir_server.interactions.transaction_steps import TURN, Current, Step, placed
from fhir_server.interactions.transaction_writes import obey, propose, write
from fhir_server.interactions.update import (
    check_id,
    target_id,
)
from fhir_server.interactions.writing import (
    check,
)
from fhir_server.outcome import Forbidden, Invalid, Issue, NotFound, Refusal, Unavailable
from fhir_server.storage import resources
from fhir_server.storage.store import Connection


async def transaction(
    engine: Engine,
    ctx: Context,
    request: Request,
    raw_entries: Sequence[dict[str, Any]],
    beside: Sequence[Change] = (),
) -> list[dict[str, Any]]:
    """Carry out all entries, or none. The answers stand in the order of the entries.

    beside: records of the server's own, stored with them and not checked.
    Raises the `Refusal` of the first stage that fails, with the issues of all its entries.
    """
    steps = await _read_steps(engine, ctx, request, raw_entries)
    await engine.rules.prepare(engine, ctx.trusted(), _perhaps_created(engine, steps))
    async with engine.store.transaction(ctx.tenant) as connection:
        await _resolve_conditions(engine, ctx, connection, steps)
        _check_overlap(steps)
        current = await _lock_current(engine, ctx, connection, steps)
        await _apply_patches(engine, ctx, steps, current)
        await _settle_references(engine, ctx, connection, steps)
        # Only now, after waiting for locks, so that versions appear soon after their time.
        ctx = ctx.at_once()
        proposals = propose(engine, ctx, steps, current)
        changes = await obey(engine, ctx, connection, proposals)
        await _conform(engine.within(connection), ctx, steps)
        await write(engine, ctx, connection, proposals, [*changes, *beside])
        await _read(engine.within(connection), ctx, steps)
    answers = []
    for step in sorted(steps, key=lambda step: step.entry.index):
        assert step.result is not None
        answers.append(answer(ctx, step.result, step.entry.method, request.prefer))
    return answers


async def _read_steps(
    engine: Engine, ctx: Context, outer: Request, raw_entries: Sequence[dict[str, Any]]
) -> list[Step]:
    """Understand and check every entry. Raises `Invalid` with everything wrong in any of them."""
    steps: list[Step] = []
    issues: list[Issue] = []
    status = 400
    for index, raw_entry in enumerate(raw_entries):
        if index % TURN == TURN - 1:
            await asyncio.sleep(0)
        try:
            steps.append(_read_step(engine, ctx, outer, index, raw_entry))
        except Unavailable:
            raise
        except Refusal as refusal:
            if refusal.status == Forbidden.status:
                raise Forbidden(placed(refusal, index)) from None
            issues.extend(placed(refusal, index))
            status = max(status, refusal.status) if len(raw_entries) == 1 else 400
    urls = Counter(step.entry.full_url for step in steps if step.entry.full_url)
    for full_url, times in urls.items():
        if times > 1 and full_url.startswith("urn:"):
            text = f"{times} entries have the fullUrl {full_url!r}; expected one"
            issues.append(Issue("invalid", text, "Bundle.entry"))
    issues += _check_parameters_alone(steps)
    if issues:
        raise Invalid(issues)
    return steps


def _check_parameters_alone(steps: Sequence[Step]) -> list[Issue]:
    """Operations write last, when the search parameters that a transaction stores must rest."""
    defining = [step for step in steps if step.writes and step.request.type == SEARCH_PARAMETER]
    if not defining or not any(step.definition.joins for step in steps):
        return []
    text = "A SearchParameter and an operation that writes cannot be in one transaction"
    return [Issue("not-supported", text, defining[0].entry.place)]


def _read_step(
    engine: Engine, ctx: Context, outer: Request, index: int, raw_entry: dict[str, Any]
) -> Step:
    entry = read_entry(ctx, index, raw_entry)
    definition, request = engine.router.route(entry.method, entry.segments)
    fill(request, entry, outer.prefer)
    check_granted(ctx.access, definition, request)
    step = Step(entry, definition, request)
    if definition.name not in _STARTS:
        if entry.method not in ("GET", "HEAD") and not (definition.reads or definition.joins):
            text = f"{entry.method} {entry.request['url']} is not possible in a transaction"
            raise Invalid(Issue("not-supported", text, f"{entry.place}.request"))
        if definition.joins and isinstance(entry.resource, dict):
            # What is wrong with it the operation itself will say; here its references count.
            step.checked = engine.structure.check(entry.resource)
        return step
    if entry.resource is not None and entry.method in ("POST", "PUT"):
        step.checked = check(engine, entry.resource, request.type)
    _STARTS[definition.name](engine, ctx, step)
    return step


def _start_create(engine: Engine, ctx: Context, step: Step) -> None:
    if step.request.if_none_exist is not None:
        step.condition = Condition.of_text(
            engine, ctx, step.request.type, step.request.if_none_exist
        )
    step.id = ctx.new_id()


def _start_update(engine: Engine, ctx: Context, step: Step) -> None:
    check_id(step.request.id)
    step.id = step.request.id
    given = step.entry.resource.get("id")
    if given != step.id:
        text = f"The url names the id {step.id!r}, the resource {given!r}; expected the same"
        raise Invalid(Issue("invalid", text, f"{step.entry.place}.resource.id"))


def _start_with_id(engine: Engine, ctx: Context, step: Step) -> None:
    refuse_change(step.request.type, step.request.id)
    step.id = step.request.id


def _start_conditional(engine: Engine, ctx: Context, step: Step) -> None:
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
    engine: Engine, ctx: Context, connection: Connection, steps: Sequence[Step]
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
            raise NotFound(placed(no_match(condition), step.entry.index))
        elif step.entry.method in ("DELETE", "PATCH"):
            step.id = match or ""
        elif match is not None:
            step.id, step.exists = match, True
        step.request.id = step.id


def _check_overlap(steps: Sequence[Step]) -> None:
    """Raises `Invalid` when two entries mean one identity, so that their order would matter."""
    seen: dict[str, Step] = {}
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


def _overlap(first: Step, second: Step, name: str) -> Issue:
    text = f"Entries {first.entry.index} and {second.entry.index} both mean {name}"
    return Issue("duplicate", text, second.entry.place)


async def _lock_current(
    engine: Engine, ctx: Context, connection: Connection, steps: Sequence[Step]
) -> Current:
    """The current version of everything that is changed, which nobody else changes from now on."""
    known = [
        (step.request.type, step.id)
        for step in steps
        if step.id and (step.entry.method in ("PUT", "PATCH", "DELETE") or step.exists)
    ]
    return await resources.lock_current(connection, engine.statements(ctx), known)


async def _apply_patches(
    engine: Engine, ctx: Context, steps: Sequence[Step], current: Current
) -> None:
    """Replace each patch by what it makes of its target, which is then written as an update is."""
    patching = [step for step in steps if step.request.patch is not None]
    for number, step in enumerate(patching):
        if number % TURN == TURN - 1:
            await asyncio.sleep(0)
        try:
            old = current.get((step.request.type, step.id))
            old = current_to_patch(engine, ctx, step.request, old)
            step.entry.resource, step.checked = patched(engine, ctx, step.request, old)
        except Refusal as refusal:
            issues = placed(refusal, step.entry.index)
            raise Refusal(issues, status=refusal.status, headers=refusal.headers) from refusal


def _perhaps_created(engine: Engine, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Resources with rules that the transaction creates, unless its conditions say otherwise."""
    given = [step.entry.resource for step in steps if step.checked is not None]
    return [resource for resource in given if engine.rules.concern(resource)]


async def _conform(engine: Engine, ctx: Context, steps: Sequence[Step]) -> None:
    """Check what is to be written against profiles stored before this transaction."""
    conforming = Conforming(engine, ctx)
    issues: list[Issue] = []
    for number, step in enumerate(step for step in steps if step.checked and step.writes):
        if number % TURN == TURN - 1:
            await asyncio.sleep(0)
        broken = await conforming.errors(step.entry.resource)
        issues += placed(Invalid(broken), step.entry.index)
    if issues:
        raise Invalid(issues, status=422)


async def _settle_references(
    engine: Engine, ctx: Context, connection: Connection, steps: Sequence[Step]
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
    references = [
        item
        for step, checked in holders
        if step.writes or step.definition.joins
        for item in checked.references
    ]
    await settle_conditional(engine, ctx, connection, references)


async def _read(engine: Engine, ctx: Context, steps: Sequence[Step]) -> None:
    """Carry out operations that write, then what only reads, after everything is written."""
    for step in sorted(steps, key=lambda step: not step.definition.joins):
        if step.result is None:
            try:
                step.result = await perform(engine, ctx, step.definition, step.request)
            except Refusal as refusal:
                issues = placed(refusal, step.entry.index)
                raise Refusal(issues, status=refusal.status) from refusal
