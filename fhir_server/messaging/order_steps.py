"""What messages ask for in the workflow of orders, by the same rules as every other door."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.mapping.convert import Mapped
from fhir_server.mapping.orders import OrderStep
from fhir_server.mapping.scope import MappingIssue
from fhir_server.mapping.settling import Plan, Settled
from fhir_server.messaging.reported import Reported, report_by
from fhir_server.operations.order_moves import used
from fhir_server.operations.order_steps import take_step
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Issue, NotFound
from fhir_server.storage import resources
from fhir_server.storage.messages import Held
from fhir_server.storage.store import Connection
from fhir_server.workflow.orders import order_type, order_types
from fhir_server.workflow.recording import state_of
from fhir_server.workflow.states import workflow

Resource = dict[str, Any]

RESULT = "RE"
# Of an order that is here: what messages do not change, and what only those change that say so.
_FIXED = (
    "id", "meta", "status", "intent", "category", "subject", "authoredOn", "relevantHistory",
    "basedOn", "replaces",
)  # fmt: skip
_ADDED = ("identifier", "note")
_CHANGING = frozenset({"create", "update", "replacing", "child"})
_ONLY_OF_REPORTS = frozenset({"status", "report", "observation", "result"})


class OrderWork:
    """The orders of one message.

    references: `ServiceRequest/id` of those that it is about. taken: URLs of entries that steps
    store. issues: what was met.
    """

    def __init__(self, engine: Engine, ctx: Context, held: Held, mapped: Mapped) -> None:
        self._engine = engine
        self._ctx = ctx
        self._held = held
        self._mapped = mapped
        self._plan = Plan()
        self._known: dict[str, Resource] = {}
        self.ids: list[str | None] = []
        self.taken: set[str] = set()
        self.issues: list[MappingIssue] = []

    @property
    def steps(self) -> Sequence[OrderStep]:
        """What the message says of orders, in its order."""
        return self._mapped.steps

    @property
    def perhaps_created(self) -> list[Resource]:
        """Orders that may be new."""
        return [each.resource for each in self._mapped.entries if order_types(each.resource)]

    @property
    def references(self) -> list[str]:
        """What the message is about."""
        found = [f"ServiceRequest/{each}" for each in self.ids if each]
        return list(dict.fromkeys(found))

    async def settle(self, engine: Engine, connection: Connection, plan: Plan) -> None:
        """Fit what is to be stored to the rules of orders. Raises `NotFound` for unknown orders."""
        self._plan = plan
        known = [each for each in plan.order_ids if each]
        rows = await resources.lock_current(
            connection,
            engine.statements(self._ctx),
            [("ServiceRequest", each) for each in known],
        )
        self._known = {id_: decode(row.content) for (_, id_), row in rows.items() if row.content}
        unknown = []
        for step, id_ in zip(self.steps, plan.order_ids, strict=True):
            if id_ is None and step.unknown == "refuse":
                unknown.append(_unknown(step))
            elif step.control == RESULT and step.step and self._has_steps(id_):
                self.taken |= {step.url, *step.inputs.get("observation", ())}
            own = plan.ids.get(step.url, "")
            self.ids.append(id_ or (own.partition("/")[2] if own.startswith("Serv") else None))
        if unknown:
            raise NotFound(unknown)
        for place, each in enumerate(plan.resources):
            if each.type == "ServiceRequest" and each.new is not None:
                plan.resources[place] = self._fitted(each)

    def _has_steps(self, id_: str | None) -> bool:
        return bool(id_) and order_type(self._known.get(id_ or "", {})) in workflow().tables

    def _fitted(self, settled: Settled) -> Settled:
        """An order as it may be written: how it goes on is for steps to say."""
        assert settled.new is not None
        step = next((e for e in self.steps if e.url == settled.entry.full_url), None)
        new, old = settled.new, settled.old
        if old is None:
            if order_types(new):
                new = new | {"status": "active"}
            return replace(settled, new=new)
        if not order_types(old):
            # Nothing but messages moves it.
            return replace(settled, new=new if step and step.step else _with(new, old, ["status"]))
        if step is not None and step.action in _CHANGING:
            new = _with(new, old, _FIXED)
        else:
            new = old | {name: new[name] for name in _ADDED if name in new}
        return replace(settled, new=None if new == old else new)

    async def take_steps(self, engine: Engine) -> list[str]:
        """Move the orders; gives the versions that this made. Raises `Refusal`."""
        made: list[str] = []
        for step, id_ in zip(self.steps, self.ids, strict=True):
            if step.step and id_ and self._moves(step, id_):
                result = await self._take(engine, step, id_)
                made += _versions(result) if result is not None else []
        return made

    def _moves(self, step: OrderStep, id_: str) -> bool:
        if self._has_steps(id_):
            return True
        new = (each.new for each in self._plan.resources if each.id == id_)
        return any(order_type(each or {}) in workflow().tables for each in new)

    async def _take(self, engine: Engine, step: OrderStep, id_: str) -> Result | None:
        """Take a step; one that was taken before, or is behind, only leaves an issue."""
        state = await self._state(engine, id_)
        parameters = self._parameters(step, id_)
        if step.control == RESULT:
            return await self._report(engine, step, parameters, state)
        table = workflow().tables[self._type(id_)]
        named = table.step(step.step)
        if named is not None and named.to == state and state not in named.origins:
            self._note(step, f"ServiceRequest/{id_} is {state} already")
            return None
        return await take_step(engine, self._ctx, parameters, step.step, making=used)

    async def _report(
        self, engine: Engine, step: OrderStep, parameters: Parameters, state: str
    ) -> Result | None:
        entries = {each.entry.full_url: each.entry.resource for each in self._plan.resources}
        report = entries[step.inputs["report"]]
        urls = step.inputs.get("observation", ())
        reported = Reported(report, [entries[url] for url in urls if url in entries], step.status)
        refusal = reported.behind(state)
        if refusal:
            self._note(step, f"ServiceRequest/{parameters.id}: {refusal}")
            return None
        return await report_by(
            engine, self._ctx, parameters, reported, state, self._held.control_id
        )

    def _parameters(self, step: OrderStep, id_: str) -> Parameters:
        values: dict[str, list[Any]] = {
            name: list(value) if isinstance(value, list | tuple) else [value]
            for name, value in step.inputs.items()
            if name not in _ONLY_OF_REPORTS or (name == "result" and step.control == RESULT)
        }
        values["cause"] = [{"reference": f"Communication/{self._held.record}"}]
        specimens = [each for each in self._plan.resources if each.type == "Specimen"]
        if specimens and self._type(id_) == "laboratory":
            values["specimen"] = [{"reference": f"Specimen/{specimens[0].id}"}]
        return Parameters(Request("POST", type="ServiceRequest", id=id_), values)

    def _type(self, id_: str) -> str:
        known = self._known.get(id_)
        if known is None:
            new = (each.new for each in self._plan.resources if each.id == id_)
            known = next((each for each in new if each), {})
        return order_type(known) or ""

    async def _state(self, engine: Engine, id_: str) -> str:
        async with engine.store.connection(self._ctx.tenant) as connection:
            row = await resources.read(connection, engine.statements(self._ctx), "Task", id_)
        return state_of(decode(row[2])) if row is not None and row[2] is not None else ""

    def _note(self, step: OrderStep, text: str) -> None:
        self.issues.append(MappingIssue("warning", "0", text, step.where))


def _with(new: Resource, old: Resource, names: Iterable[str]) -> Resource:
    """What is new with some elements as they were."""
    kept = set(names)
    changed = {name: value for name, value in new.items() if name not in kept}
    return changed | {name: old[name] for name in kept if name in old}


def _unknown(step: OrderStep) -> Issue:
    number = step.order[0].partition("|")[2] if step.order else "without a number"
    return Issue("not-found", f"There is no order {number} here", step.where)


def _versions(result: Result) -> list[str]:
    """`Type/id/_history/n` of what a step shows that it made."""
    parameters: Mapping[str, Any] = decode(result.body or b"{}")
    found = (part.get("resource") for part in parameters.get("parameter", ()))
    return [
        f"{each['resourceType']}/{each['id']}/_history/{each['meta']['versionId']}"
        for each in found
        if each
    ]
