"""How an operation moves an order: in one transaction, with a Provenance of each step."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode, encode
from fhir_server.interactions.bundles import raw
from fhir_server.interactions.changes import store_changes
from fhir_server.interactions.conforming import conform
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import gone
from fhir_server.interactions.result import Result
from fhir_server.interactions.rules import Change
from fhir_server.interactions.update import check_preconditions
from fhir_server.interactions.writing import check, instant_text
from fhir_server.operations.order_lookups import actor_of, check_there, own, referred
from fhir_server.operations.output import value
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Conflict, Issue
from fhir_server.search.values import Instants
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection
from fhir_server.workflow.effects import fact, with_fact
from fhir_server.workflow.orders import order_type
from fhir_server.workflow.refusals import invalid, no_order
from fhir_server.workflow.reports import About
from fhir_server.workflow.states import Table, workflow
from fhir_server.workflow.steps import Advanced, Asked, Order, advance, told

Resource = dict[str, Any]
Identity = tuple[str, str]

# Steps whose time is when they took place; others have a time that is something else, or none.
# Their clocks may be ahead of the server's by so much.
_SKEW = timedelta(minutes=5)
_TIMED = frozenset({"collect-sample", "start", "complete"})
# What an input is not, but says who asks and why.
_CONTROLS = frozenset({"actor", "cause"})


@dataclass(slots=True)
class Work:
    """A step that is being carried out.

    held: the versions that the step may change, locked. found: what its inputs refer to.
    order: as it becomes. changes: what is stored beside the order and its Task.
    targets, sources: references for the Provenance: what else is changed, and what is used.
    shown: names of parameters of the answer with the identities of resources.
    """

    engine: Engine
    ctx: Context
    connection: Connection
    parameters: Parameters
    table: Table
    order: Order
    held: Mapping[Identity, Stored]
    found: Mapping[Identity, Resource]
    asked: Asked
    changes: list[Change] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    shown: list[tuple[str, Identity]] = field(default_factory=list)

    @property
    def held_task(self) -> Resource:
        """The Task as it was before the step."""
        task: Resource = decode(self.held["Task", self.order.task["id"]].content or b"")
        return task

    @property
    def about(self) -> About:
        """What results that the step brings are about."""
        order, asked = self.order, self.asked
        subject = order.request["subject"]
        return About(order.request, order.task, subject, dict(asked.actor.reference), asked.at)

    def note(self, code: str, reference: str) -> None:
        """Have the Task tell of something under a code."""
        task = with_fact(self.order.task, code, {"valueReference": {"reference": reference}})
        self.order = replace(self.order, task=task)

    def noted(self, code: str) -> Identity | None:
        """What the Task tells of under a code."""
        found = fact(self.order.task, code)
        return own(self.engine, self.ctx, found["reference"]) if found else None

    async def hold(self, identities: Iterable[Identity]) -> Mapping[Identity, Stored]:
        """The current versions of more, which nobody else changes either."""
        statements = self.engine.statements(self.ctx)
        found = await resources.lock_current(self.connection, statements, identities)
        self.held = {**self.held, **found}
        return found

    @property
    def targets(self) -> list[str]:
        """References to what is changed beside the order and its Task."""
        return [change.reference for change in self.changes]

    def store(self, name: str, resource: Resource, old: Stored | None = None) -> str:
        """Have a resource stored and shown under a name; gives its reference."""
        identity = (resource["resourceType"], resource["id"])
        method = "POST" if old is None else "PUT"
        self.changes.append(Change(*identity, old, resource, method))
        self.shown.append((name, identity))
        return "/".join(identity)


# What a step makes beside changing the order; called once the step is known to be possible.
Making = Callable[[Work], Awaitable[None]]
# Inputs that are made of others, before the step.
Made = Callable[[Context, Parameters], Mapping[str, Any]]


async def _nothing(work: Work) -> None:
    """Steps that change the order alone."""


def _none(ctx: Context, parameters: Parameters) -> Mapping[str, Any]:
    return {}


async def take_step(
    engine: Engine,
    ctx: Context,
    parameters: Parameters,
    step: str,
    *,
    making: Making = _nothing,
    made: Made = _none,
    repeated: Making = _nothing,
    order_id: str = "",
    more: Sequence[Identity] = (),
) -> Result:
    """Carry out a step of an order, and answer with what became of it.

    making: what the step makes beside; repeated: what to do where it had been done before.
    made: inputs made of others. order_id: of the order, if the URL does not name it. more: what
    else the step may change.
    Raises `NotFound`, `Gone`, `PreconditionFailed`, `Conflict` where the state of the order forbids
    the step, `Invalid`, 422, for wrong inputs and a 403 `Refusal` for who may not.
    """
    async with engine.store.transaction(ctx.tenant) as connection:
        work = await _begin(engine, ctx, connection, parameters, step, made, order_id, more)
        advanced = advance(workflow(), work.table, work.order, work.asked)
        work.order = advanced.order
        if advanced.taken:
            await making(work)
            return _answer(work, {**work.held, **await _store(work, advanced)})
        await repeated(work)
        return _answer(work, work.held)


async def _begin(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    parameters: Parameters,
    step: str,
    made: Made,
    order_id: str,
    more: Sequence[Identity],
) -> Work:
    held = await _hold(engine, ctx, connection, order_id or parameters.id, more)
    check_preconditions(parameters.request, held.get((parameters.type, parameters.id)))
    # Only now, after waiting for the lock, so that versions appear soon after their time.
    ctx = ctx.at_once()
    table, order = _order(held, order_id or parameters.id)
    _check_times(engine, ctx, parameters, step)
    given = list(_references(engine, ctx, parameters))
    found = await referred(engine, ctx, connection, [reference for _, reference in given])
    named = [each for each in given if each[0] != "actor"]
    check_there(engine, ctx, named, found)
    actor = await actor_of(engine, ctx, connection, parameters.one("actor"), found)
    asked = Asked(
        step,
        inputs(parameters),
        actor,
        instant_text(ctx.now()),
        [each["reference"] for each in parameters.all("cause") if "reference" in each],
        made(ctx, parameters),
    )
    return Work(engine, ctx, connection, parameters, table, order, held, found, asked)


def _check_times(engine: Engine, ctx: Context, parameters: Parameters, step: str) -> None:
    """Raises `Invalid`, 422, for what took place in the future, or ends before it begins."""
    instants = Instants(engine.where.zone)
    time, end = (_range(instants, parameters, name) for name in ("time", "end"))
    latest = instants.of_text(instant_text(ctx.now() + _SKEW))[0]
    if time and step in _TIMED and time[0] > latest:
        text = f"time={parameters.text('time')} is in the future; {step} tells what took place"
        raise invalid(text)
    if time and end and end[1] <= time[0]:
        text = f"end={parameters.text('end')} is before time={parameters.text('time')}"
        raise invalid(text)


def _range(instants: Instants, parameters: Parameters, name: str) -> tuple[int, int] | None:
    text = parameters.text(name)
    try:
        return instants.of_text(text) if text else None
    except ValueError as error:
        raise invalid(f"{name}={text!r}: {error}") from None


async def _hold(
    engine: Engine, ctx: Context, connection: Connection, id_: str, more: Sequence[Identity]
) -> Mapping[Identity, Stored]:
    """The current versions of an order, its Task and more; nobody else changes them now."""
    wanted = [("ServiceRequest", id_), ("Task", id_), *more]
    return await resources.lock_current(connection, engine.statements(ctx), wanted)


def _order(held: Mapping[Identity, Stored], id_: str) -> tuple[Table, Order]:
    """Raises `NotFound`, `Gone`, and `Conflict` for an order without a Task of its own."""
    request, task = held.get(("ServiceRequest", id_)), held.get(("Task", id_))
    if request is None:
        raise no_order(f"There is no ServiceRequest with the id {id_!r}")
    if request.content is None:
        raise gone(request.type, request.id, request.version)
    resource = decode(request.content)
    table = workflow().tables.get(order_type(resource) or "")
    if table is None:
        text = f"ServiceRequest/{id_} is no order: no category says what type of order it is"
        raise no_order(text)
    found = decode(task.content) if task is not None and task.content is not None else {}
    order = Order(resource, found)
    if not order.state:
        raise Conflict(Issue("business-rule", f"There is no Task of ServiceRequest/{id_}"))
    return table, order


def inputs(parameters: Parameters) -> Mapping[str, Any]:
    """What a step is done with: a value by name, or a list where several may be given."""
    return {
        name: values[0] if len(values) == 1 and not _is_resource(values[0]) else values
        for name, values in parameters.values.items()
        if name not in _CONTROLS
    }


def _is_resource(given: Any) -> bool:
    return isinstance(given, dict) and "resourceType" in given


def _references(engine: Engine, ctx: Context, parameters: Parameters) -> Iterator[tuple[str, str]]:
    """The references among the inputs, made relative where they lead to this server."""
    for name, values in parameters.values.items():
        for each in values:
            if isinstance(each, dict) and "reference" in each and not _is_resource(each):
                for base in (ctx.base_url, engine.where.base_url):
                    each["reference"] = each["reference"].removeprefix(f"{base}/")
                yield name, each["reference"]


async def _store(work: Work, advanced: Advanced) -> Mapping[Identity, Stored]:
    """Store the order, its Task, what the step made, and the Provenances."""
    id_ = work.order.request["id"]
    occurred = work.parameters.text("time") if work.asked.step in _TIMED else ""
    provenances = told(
        replace(advanced, order=work.order),
        work.asked,
        targets=work.targets,
        sources=work.sources,
        occurred=occurred,
    )
    for each in provenances:
        each["id"] = work.ctx.new_id()
    history = [{"reference": f"Provenance/{each['id']}"} for each in provenances]
    changes = [
        Change("ServiceRequest", id_, work.held["ServiceRequest", id_],
               _with_history(work.order.request, history), "PUT"),
        Change("Task", id_, work.held["Task", id_], _with_history(work.order.task, history), "PUT"),
        *work.changes,
    ]  # fmt: skip
    for change in work.changes:
        if change.new is not None:
            check(work.engine, change.new, change.type)
            await conform(work.engine.within(work.connection), work.ctx, change.new)
    changes += [Change("Provenance", each["id"], None, each, "POST") for each in provenances]
    stored = await store_changes(work.engine, work.ctx, work.connection, changes)
    return {change.identity: each for change, each in zip(changes, stored, strict=True)}


def _with_history(resource: Resource, history: list[Resource]) -> Resource:
    return resource | {"relevantHistory": [*resource.get("relevantHistory", ()), *history]}


def _answer(work: Work, stored: Mapping[Identity, Stored]) -> Result:
    """The state of the order and everything that the step changed."""
    id_ = work.order.request["id"]
    shown = [("order", ("ServiceRequest", id_)), ("task", ("Task", id_)), *work.shown]
    parts = [value("state", "code", work.order.state)] + [
        {"name": name, "resource": raw(content)}
        for name, identity in shown
        if identity in stored and (content := stored[identity].content) is not None
    ]
    body = encode({"resourceType": "Parameters", "parameter": parts})
    own = stored[work.parameters.type, work.parameters.id]
    return Result(200, body, own.type, own.id, own.version, own.last_updated)
