"""Applying the rules of orders to the changes of one transaction."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.rules import Change, RuleRefused
from fhir_server.interactions.writing import instant_text
from fhir_server.outcome import Invalid, Issue, Refusal
from fhir_server.storage.numbers import Blocks
from fhir_server.storage.resources import Stored
from fhir_server.workflow import changing, checks, creation, result_writes
from fhir_server.workflow.assigning import assign
from fhir_server.workflow.checks import Surroundings
from fhir_server.workflow.orders import (
    Identity,
    Resource,
    is_task_of,
    order_type,
    order_types,
    task_identity,
)
from fhir_server.workflow.reading import Reader, content
from fhir_server.workflow.recording import state_of
from fhir_server.workflow.refusals import invalid
from fhir_server.workflow.settings import OrderSettings
from fhir_server.workflow.states import State, Table, Workflow
from fhir_server.workflow.study_uids import STUDY_UID


@dataclass(slots=True)
class Applying:
    """The changes of one transaction, with what becomes known and what follows.

    changes: those with rules. others: what else the transaction stores.
    before: what is changed, as it was; a deleted order as it was before that.
    held: locked versions beside those that are changed.
    """

    settings: OrderSettings
    workflow: Workflow
    blocks: Blocks
    reader: Reader
    changes: Sequence[Change]
    others: Sequence[Change]
    before: dict[Identity, Resource | None] = field(default_factory=dict)
    held: Mapping[Identity, Stored] = field(default_factory=dict)
    more: list[Change] = field(default_factory=list)

    @property
    def ctx(self) -> Context:
        """The circumstances of the transaction."""
        return self.reader.ctx

    @property
    def at(self) -> str:
        """When it takes place."""
        return instant_text(self.ctx.now())

    @property
    def bases(self) -> Collection[str]:
        """The URLs under which this server is known."""
        return (self.ctx.base_url, self.reader.engine.where.base_url)

    async def run(self) -> list[Change]:
        """All changes to store. Raises `RuleRefused`."""
        for change in self.changes:
            self.before[change.identity] = await self._before(change)
        self.held = await self.reader.lock(self._to_lock())
        around = await self._surroundings()
        created = [change for change in self.changes if self._creates(change)]
        for change in created:
            with _blaming(change):
                await self._start(change, around)
        await self._number(created)
        # Tasks first, as they came: then they follow their orders.
        for change in sorted(self.changes, key=lambda change: change.type != "Task"):
            with _blaming(change):
                await self._apply(change, change in created, around)
        return [*self.changes, *self.more]

    async def _before(self, change: Change) -> Resource | None:
        before = change.before()
        if before is None and change.old is not None and change.type == "ServiceRequest":
            return await self.reader.last(change.old)
        return before

    def _creates(self, change: Change) -> bool:
        return (
            change.new is not None
            and bool(order_types(change.new))
            and not order_types(self.before[change.identity] or {})
        )

    def _to_lock(self) -> set[Identity]:
        """Tasks of orders that are changed, and orders that get results."""
        found = set()
        for change in self.changes:
            if change.type == "ServiceRequest":
                is_order = order_types(self.before[change.identity] or {})
                # The id of a create is a new one, under which nothing can be.
                if is_order or (self._creates(change) and change.method != "POST"):
                    found.add(task_identity(change.id))
            elif change.type in result_writes.RESULTS and change.new is not None:
                for order in self._orders_of(change):
                    found |= {order, task_identity(order[1])}
        return found - {change.identity for change in self.changes}

    async def _surroundings(self) -> Surroundings:
        """What the orders name, as it will be after this transaction."""
        found = await self._existing(set().union(*map(self._named, self.changes)))
        around = Surroundings(found, self.bases)
        roles = [each for each in found.values() if each["resourceType"] == "PractitionerRole"]
        people = {around.own(each.get("practitioner", {})) for each in roles}
        found |= await self._existing({each for each in people if each and each not in found})
        return around

    async def _existing(self, identities: set[Identity]) -> dict[Identity, Resource]:
        """Those that exist once this transaction is over."""
        if not identities:
            return {}
        stored = {change.identity: change.new for change in (*self.others, *self.changes)}
        found = await self.reader.existing(identities - stored.keys())
        for identity in identities & stored.keys():
            new = stored[identity]
            if new is not None:
                found[identity] = new | {"id": identity[1]}
        return found

    def _named(self, change: Change) -> set[Identity]:
        new, before = change.new, self.before[change.identity] or {}
        if change.type == "Task":
            return {("ServiceRequest", change.id)} if is_task_of(before, change.id) else set()
        if new is None or not order_types(new):
            return set()
        named = checks.named(new, self.bases)
        return named if self._creates(change) or named - checks.named(before, self.bases) else set()

    async def _start(self, change: Change, around: Surroundings) -> None:
        assert change.new is not None
        table = self._table(change.new)
        order = creation.with_indication(change.new, around)
        change.new = creation.started(order, self._initial(table), self.at)
        issues = checks.problems(change.new, around)
        if not issues:
            issues = await self._involvement(change.new, around)
        if issues:
            raise Invalid(issues, status=422)

    def _table(self, order: Resource) -> Table:
        types = order_types(order)
        if len(types) != 1 or types[0] not in self.workflow.tables:
            known, given = ", ".join(self.workflow.tables), ", ".join(map(repr, types))
            text = f"Expected one type of order, of {known}; found {given}"
            raise invalid(text, "ServiceRequest.category")
        return self.workflow.tables[types[0]]

    def _initial(self, table: Table) -> State:
        return self.workflow.states[table.unverified if self.settings.verify else table.initial]

    async def _involvement(self, order: Resource, around: Surroundings) -> list[Issue]:
        if not self.settings.involved or checks.involves(order, around, ()):
            return []
        patient = around.own(order["subject"])
        teams = await self.reader.care_teams(patient) if patient else []
        teams += [
            each.new
            for each in self.others
            if each.new is not None and each.type == "CareTeam" and self._is_of(each.new, patient)
        ]
        return [] if checks.involves(order, around, teams) else [checks.not_involved(order)]

    def _is_of(self, resource: Resource, patient: Identity | None) -> bool:
        return Surroundings({}, self.bases).own(resource.get("subject", {})) == patient

    async def _number(self, created: Sequence[Change]) -> None:
        orders = {change.reference: change.new for change in created if change.new is not None}
        connection = self.reader.connection
        claims = await assign(self.settings.numbering, self.blocks, self.ctx, connection, orders)
        for change in created:
            change.new = orders[change.reference]
            change.claims = [each for each in claims if each.holder == change.reference]

    async def _apply(self, change: Change, created: bool, around: Surroundings) -> None:
        before = self.before[change.identity] or {}
        if created:
            self._create(change)
        elif change.type == "Task":
            self._check_task(change, before, around)
        elif change.type in result_writes.RESULTS and change.new is not None:
            self._check_result(change, before)
        elif order_types(before) and change.new is None:
            await self._delete(change, before)
        elif order_types(before):
            await self._change(change, before, around)

    def _create(self, change: Change) -> None:
        assert change.new is not None
        table = self._table(change.new)
        state = self._initial(table)
        identity = task_identity(change.id)
        held = self.held.get(identity)
        if self._given(identity) or content(held) is not None:
            raise changing.foreign_task(change.id)
        task = creation.task_of(change.new, change.id, table.type, state, self.at)
        actor = change.new["requester"]
        told = self._tell("create", change.id, actor, ("", state.code))
        change.new = creation.with_history(change.new, told)
        task = creation.with_history(task, told)
        method = "POST" if held is None else "PUT"
        self.more.append(Change(*identity, held, task, method))

    def _tell(self, step: str, id_: str, actor: Any, states: tuple[str, str]) -> str:
        """The id of a Provenance that tells what became of an order."""
        provenance = creation.told(step, id_, actor, self.at, states)
        told = self.ctx.new_id()
        self.more.append(Change("Provenance", told, None, provenance, "POST"))
        return told

    def _given(self, identity: Identity) -> Change | None:
        every = (*self.changes, *self.others)
        return next((each for each in every if each.identity == identity), None)

    def _check_task(self, change: Change, before: Resource, around: Surroundings) -> None:
        order = around.found.get(("ServiceRequest", change.id))
        if not is_task_of(before, change.id) or order is None or not order_types(order):
            return
        if change.new is None:
            raise changing.task_needed(order)
        changing.check_task(before, change.new)

    def _orders_of(self, change: Change) -> list[Identity]:
        """The orders that a result is based on, after the change or before."""
        versions = (change.new or {}, self.before[change.identity] or {})
        found = (each for of in versions for each in result_writes.orders_of(of, self.bases))
        return list(dict.fromkeys(found))

    def _check_result(self, change: Change, before: Resource) -> None:
        assert change.new is not None
        of_order = [each for each in self._orders_of(change) if order_types(self._order(each))]
        if before and of_order:
            result_writes.check_issued(before, change.new)
        for identity in result_writes.orders_of(change.new, self.bases):
            given = self._given(identity)
            if given is None and identity not in self.held:
                continue  # Elsewhere, or later: references need not lead anywhere.
            order = content(self.held.get(identity)) if given is None else given.new
            if order is None:
                raise result_writes.no_such_order(change.type, identity)
            if order_types(order):
                task = self._task(identity[1])
                state = state_of(task) if task else self._initial(self._table(order)).code
                order = order | {"id": identity[1]}
                result_writes.check_result(change.new, order, state, self.bases)

    def _order(self, identity: Identity) -> Resource:
        """An order as it will be; empty when there is none."""
        given = self._given(identity)
        found = content(self.held.get(identity)) if given is None else given.new
        return found or {}

    def _task(self, order_id: str) -> Resource | None:
        """The Task of an order as it is now."""
        identity = task_identity(order_id)
        given = self._given(identity)
        found: Resource | None = given.before() if given else content(self.held.get(identity))
        return found

    async def _delete(self, change: Change, before: Resource) -> None:
        task = self._task(change.id)
        found = await self.reader.results(change.identity)
        for each in (*self.changes, *self.others):
            if each.type in result_writes.RESULTS:
                found.discard(each.identity)
                if each.new and change.identity in result_writes.orders_of(each.new, self.bases):
                    found.add(each.identity)
        state = state_of(task or {})
        if found:
            raise changing.has_results(change.id, state, result_writes.names(found))
        self._tell("delete", change.id, {"display": self.ctx.principal.name}, (state, ""))
        identity = task_identity(change.id)
        if task is not None and self._given(identity) is None:
            self.more.append(Change(*identity, self.held[identity], None, "DELETE"))

    async def _change(self, change: Change, before: Resource, around: Surroundings) -> None:
        """An update, or a restored order, which goes on where it was when it was deleted."""
        assert change.new is not None
        identity = task_identity(change.id)
        held = self.held.get(identity)
        task = self._task(change.id)
        restored = change.before() is None
        if task is not None and (restored or not is_task_of(task, change.id)):
            raise changing.foreign_task(change.id)
        if restored and held is not None:
            task = await self.reader.last(held)
        type_ = order_type(before) or ""
        state = self.workflow.states[state_of(task or {}) or self.workflow.tables[type_].initial]
        kinds = (STUDY_UID, *self.settings.numbering.kinds)
        after = changing.changed(before, change.new, state, kinds, around)
        self._check_named(before, after, around)
        change.new = creation.with_indication(after, around)
        if not restored and not changing.differs(before, change.new):
            return
        actor = {"display": self.ctx.principal.name}
        told = self._tell("change", change.id, actor, ("", state.code) if restored else ("", ""))
        change.new = creation.with_history(change.new, told)
        self._follow(change, task, type_, state, told)

    def _check_named(self, before: Resource, after: Resource, around: Surroundings) -> None:
        """Raises `Invalid`, 422, for wrong ones among those that an order names anew."""
        new = [
            name
            for name in checks.NAMED
            if around.own(before.get(name, {})) != around.own(after.get(name, {}))
            or before.get(name, {}).get("reference") != after.get(name, {}).get("reference")
        ]
        if new or before.get("reasonReference") != after.get("reasonReference"):
            issues = checks.problems(after, around, new)
            if issues:
                raise Invalid(issues, status=422)

    def _follow(
        self, change: Change, task: Resource | None, type_: str, state: State, told: str
    ) -> None:
        """Let the Task of an order follow its change."""
        assert change.new is not None
        identity = task_identity(change.id)
        given = self._given(identity)
        if given is not None:
            if given.new is not None:
                task = creation.following(given.new, change.new, type_)
                given.new = creation.with_history(task, told)
            return
        if task is None:
            task = creation.task_of(change.new, change.id, type_, state, self.at)
        held = self.held.get(identity)
        after = creation.following(task, change.new, type_) | {"lastModified": self.at}
        after = creation.with_history(after, told)
        self.more.append(Change(*identity, held, after, "POST" if held is None else "PUT"))


@contextmanager
def _blaming(change: Change) -> Iterator[None]:
    """Says of a refusal which change it is about."""
    try:
        yield
    except RuleRefused:
        raise
    except Refusal as refusal:
        source = change.reference
        raise RuleRefused(refusal.issues, status=refusal.status, source=source) from refusal
