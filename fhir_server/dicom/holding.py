"""What is locked and read before an ImagingStudy changes, and how the changes are stored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.context import Context
from fhir_server.dicom import records
from fhir_server.dicom.completing import complete
from fhir_server.dicom.facts import Person
from fhir_server.dicom.matching import Issuers, Match, agrees
from fhir_server.fhir_json import decode
from fhir_server.interactions.changes import store_changes
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.rules import Change
from fhir_server.interactions.writing import check, instant_text
from fhir_server.search import keys
from fhir_server.search.lookups import START, Wanted, find
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection
from fhir_server.workflow.orders import own

Resource = dict[str, Any]
Identity = tuple[str, str]

_MOST_PATIENTS = 20


@dataclass(slots=True)
class Holding:
    """A study's part of the database in one transaction, which nobody else changes meanwhile.

    ctx: with one time. uid: of the study. held: current versions. changes: what is to be stored.
    """

    engine: Engine
    ctx: Context
    connection: Connection
    uid: str
    held: Mapping[Identity, Stored] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    @property
    def at(self) -> str:
        """When it takes place."""
        return instant_text(self.ctx.now())

    @property
    def identity(self) -> Identity:
        """Of the ImagingStudy."""
        return "ImagingStudy", self.uid

    async def lock(self, orders: Iterable[str] = ()) -> None:
        """Lock the ImagingStudy, what goes with it, and orders with their Tasks.

        orders: references, or ids of a former lock.
        """
        await resources.lock_names(self.connection, [keys.hash64_uncached("/".join(self.identity))])
        wanted = {self.identity, records.task_identity(self.uid), records.DEVICE, records.ENDPOINT}
        for each in orders:
            identity = self.own(each)
            if identity is not None and identity[0] == "ServiceRequest":
                wanted |= {identity, ("Task", identity[1])}
        statements = self.engine.statements(self.ctx)
        self.held = await resources.lock_current(self.connection, statements, wanted)

    def own(self, reference: str) -> Identity | None:
        """What a reference leads to on this server."""
        return own(reference, (self.ctx.base_url, self.engine.where.base_url))

    def content(self, identity: Identity) -> Resource:
        """A locked resource as it is; empty if it is not there."""
        stored = self.held.get(identity)
        found: Resource = decode(stored.content) if stored and stored.content else {}
        return found

    def orders(self) -> dict[str, Resource]:
        """The locked orders that exist, by reference."""
        found = {each: self.content(each) for each in self.held if each[0] == "ServiceRequest"}
        return {"/".join(identity): order for identity, order in found.items() if order}

    async def patients(self, orders: Iterable[Resource]) -> dict[str, Resource]:
        """The patients of orders, by the references that the orders have."""
        references = {order["subject"].get("reference", "") for order in orders}
        named = {each: identity for each in references if (identity := self.own(each))}
        statements = self.engine.statements(self.ctx)
        found = await resources.read_many(self.connection, statements, named.values())
        return {
            reference: decode(found[identity])
            for reference, identity in named.items()
            if identity in found
        }

    async def subject(self, person: Person, issuers: Issuers) -> Resource:
        """Whose images they say they are: the one Patient with that id, or just the id."""
        if not person.id:
            return {"display": "The images name no patient id"}
        token = keys.token_any_system(person.id)
        wanted = Wanted(keys={keys.key(keys.parameter_name("Patient", "identifier"), token)})
        at = self.engine.settling(self.ctx, self.connection)
        rows, count = await find(
            at, wanted, [], after=START, most=_MOST_PATIENTS, read=_MOST_PATIENTS
        )
        found = [row.id for row in rows if agrees(person, decode(row.content or b"{}"), issuers)]
        if len(found) == 1 and count <= _MOST_PATIENTS:
            return {"reference": f"Patient/{found[0]}"}
        identifier: Resource = {"value": person.id}
        if person.issuer:
            system = issuers.patient(person.issuer)
            identifier |= {"system": system} if system else {"assigner": {"display": person.issuer}}
        return {"identifier": identifier}

    def put(self, identity: Identity, resource: Resource) -> None:
        """Have a resource stored; one that says the same as before gets no new version."""
        old = self.held.get(identity)
        new = {name: value for name, value in resource.items() if name != "id"}
        method = "POST" if old is None else "PUT"
        self.changes.append(Change(*identity, old, new | {"id": identity[1]}, method))

    def put_study(self, study: Resource) -> None:
        """Have the ImagingStudy stored. Raises `Invalid` if it breaks a rule of R4."""
        check(self.engine, study, "ImagingStudy")
        self.put(self.identity, study)

    def tell(self, resource: Resource) -> None:
        """Have a new Provenance or AuditEvent stored."""
        id_ = self.ctx.new_id()
        self.changes.append(
            Change(resource["resourceType"], id_, None, resource | {"id": id_}, "POST")
        )

    def complete(self, orders: Iterable[str]) -> list[str]:
        """Move orders on to completed; why those stay that cannot."""
        closed = []
        for reference in orders:
            identity = self.own(reference)
            if identity is not None:
                done = complete(self.ctx, self.held, identity[1], self.uid)
                self.changes += done.changes
                closed += [done.closed] if done.closed else []
        return closed

    def raise_conflict(self, match: Match) -> None:
        """Have a Task for a person to settle a conflict."""
        identity = records.task_identity(self.uid)
        before = self.content(identity)
        self.put(identity, records.conflict_task(self.uid, match, self.at, before))

    def settle_conflict(self) -> None:
        """Close the Task of a conflict, if there is one."""
        identity = records.task_identity(self.uid)
        if before := self.content(identity):
            self.put(identity, records.settled_task(before, self.at))

    def need(self, identity: Identity, resource: Resource) -> None:
        """Have something stored that others refer to; it is left alone if it says the same."""
        before = self.content(identity)
        said = {name: before.get(name) for name in resource}
        if said != resource:
            self.put(identity, before | resource)

    async def store(self) -> Sequence[Stored]:
        """Store everything."""
        return await store_changes(self.engine, self.ctx, self.connection, self.changes)
