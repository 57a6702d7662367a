"""Taking in what became of a study: one transaction, one version of its ImagingStudy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.dicom import links, matching, records
from fhir_server.dicom.facts import StudyFacts, Tags, study_facts
from fhir_server.dicom.holding import Holding
from fhir_server.dicom.mapping import Place, imaging_study
from fhir_server.dicom.matching import Holder, Issuers, Known, Match
from fhir_server.dicom.settings import BridgeSettings
from fhir_server.interactions.engine import Engine
from fhir_server.security.principal import program
from fhir_server.storage import archive
from fhir_server.storage.archive import CONFLICT, GONE, LINKED, WAITING
from fhir_server.storage.store import Connection
from fhir_server.workflow.study_uids import SYSTEM as UID_SYSTEM
from fhir_server.workflow.study_uids import as_value

Resource = dict[str, Any]

# What an ImagingStudy has from its images; anything else in it stays.
_FROM_IMAGES = frozenset(
    {
        "id", "identifier", "modality", "started", "description", "numberOfSeries",
        "numberOfInstances", "series",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Images:
    """What the images of a study say, and the elements of an ImagingStudy that it makes."""

    facts: StudyFacts
    elements: Resource


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a study: its state, and what tells when to look at it again."""

    state: str
    accessions: Sequence[str] = ()
    candidates: Sequence[str] = ()


class Taking:
    """Makes ImagingStudies of studies."""

    def __init__(self, engine: Engine, settings: BridgeSettings) -> None:
        self._engine = engine
        self._settings = settings
        accession, patient = dict(settings.issuers), dict(settings.patient_systems)
        own = settings.accession_system
        self.issuers = Issuers(
            lambda issuer: accession.get(issuer, issuer) if issuer else own,
            lambda issuer: patient.get(issuer, ""),
        )
        self._place = Place(
            settings.zone, lambda issuer: accession.get(issuer, "") if issuer else own
        )

    def context(self, tenant: str) -> Context:
        """Who takes in studies."""
        return Context(
            tenant=tenant,
            principal=program("image archive"),
            base_url=self._engine.where.base_url,
        ).at_once()

    def read(self, uid: str, tags: Sequence[Tags]) -> Images:
        """What the tags of all instances of a study say."""
        facts = study_facts(uid, tags)
        return Images(facts, imaging_study(facts, self._place))

    async def take(self, connection: Connection, tenant: str, images: Images) -> Taken:
        """Make or change the ImagingStudy of a study, link it, and move its orders on.

        Inside the caller's transaction. Raises `Invalid` for images that make none, and `Conflict`
        when somebody else was faster.
        """
        study = images.facts
        holding = Holding(self._engine, self.context(tenant), connection, study.uid)
        values = matching.numbers(study)
        rows = await archive.holders(connection, tenant, values)
        holders = [Holder(*row) for row in rows]
        candidates = sorted({each.reference for each in holders})
        await holding.lock(candidates)
        before = holding.content(holding.identity)
        if links.decided_by_person(before):
            await holding.lock([*candidates, *links.orders_of(before)])
            match = Match(links.state_of(before), matching.BY_PERSON)
        else:
            orders = holding.orders()
            patients = await holding.patients(orders.values())
            match = matching.match(study, Known(holders, orders, patients), self.issuers)
        state = await self._apply(holding, images, match, before)
        await holding.store()
        return Taken(state, values, candidates)

    async def _apply(self, holding: Holding, given: Images, match: Match, before: Resource) -> str:
        images = self._images(holding, given.elements, before)
        was_linked = before.get("status") == "available" and links.orders_of(before)
        if match.rule == matching.BY_PERSON:
            after, orders = links.kept(images, before), links.orders_of(before)
        elif match.state == LINKED:
            known = holding.orders()
            orders = list(match.orders)
            after = links.linked(images, [known[each] for each in orders], match)
        elif was_linked:
            # A link is never taken back by itself: a person is asked.
            after, orders = links.kept(images, before), []
        else:
            subject = await holding.subject(given.facts.person, self.issuers)
            after, orders = links.apart(images, subject, match), []
        holding.put_study(after)
        self._tell(holding, before, after, match)
        closed = holding.complete(orders)
        if closed:
            holding.raise_conflict(
                Match(CONFLICT, orders=tuple(orders), reason=matching.CLOSED, evidence=closed[0])
            )
            return WAITING
        if match.state == CONFLICT:
            holding.raise_conflict(match)
        else:
            holding.settle_conflict()
        return match.state

    def _images(self, holding: Holding, found: Resource, before: Resource) -> Resource:
        """What the images say, beside what others put into the ImagingStudy."""
        kept = {name: value for name, value in before.items() if name not in _FROM_IMAGES}
        found = {**kept, **found, "status": "available"}
        holding.need(records.DEVICE, records.device())
        if self._settings.wado_url:
            holding.need(records.ENDPOINT, records.endpoint(self._settings.wado_url))
            found["endpoint"] = [{"reference": "/".join(records.ENDPOINT)}]
        return found

    def _tell(self, holding: Holding, before: Resource, after: Resource, match: Match) -> None:
        """A Provenance of a new link, and of a study that appears or comes back."""
        targets = ["/".join(holding.identity)]
        orders = links.orders_of(after)
        if orders != links.orders_of(before):
            reason, activity = match.evidence, "link" if orders else "receive"
        elif before.get("status") != "available":
            reason, activity = match.evidence or "the images are in the archive", "receive"
        else:
            return
        told = records.provenance(activity, targets, records.BRIDGE, holding.at, reason, orders)
        holding.tell(told)

    async def quarantine(
        self, connection: Connection, tenant: str, uid: str, patients: Sequence[str]
    ) -> Taken:
        """Change nothing of a study whose UID the images of several patients have; ask a person.

        patients: ids in the archive.
        """
        holding = Holding(self._engine, self.context(tenant), connection, uid)
        await holding.lock()
        evidence = f"{len(patients)} patients have images under one study UID"
        match = Match(CONFLICT, reason=matching.SHARED_UID, evidence=evidence)
        if not holding.content(holding.identity):
            # Nothing but that it is there, so that it is found among the conflicts.
            name = {"system": UID_SYSTEM, "value": as_value(uid)}
            bare = {"resourceType": "ImagingStudy", "id": uid, "identifier": [name]}
            subject = {"display": "Several patients"}
            holding.put_study(links.apart(bare | {"status": "unknown"}, subject, match))
        holding.raise_conflict(match)
        await holding.store()
        return Taken(CONFLICT)

    async def lose(self, connection: Connection, tenant: str, uid: str, reason: str) -> Taken:
        """Mark the ImagingStudy of a study that is not in the archive any more."""
        holding = Holding(self._engine, self.context(tenant), connection, uid)
        await holding.lock()
        before = holding.content(holding.identity)
        if before and before["status"] == "available":
            holding.put_study(before | {"status": "cancelled"})
            targets = ["/".join(holding.identity)]
            who = records.BRIDGE
            holding.tell(records.provenance("lose", targets, who, holding.at, reason))
            holding.tell(records.audit_of_deletion(uid, who, holding.at, reason))
        holding.settle_conflict()
        await holding.store()
        return Taken(GONE)


def outcome(taken: Taken, uid: str, stamp: str) -> archive.Outcome:
    """What to note of a study."""
    return archive.Outcome(taken.state, uid, stamp, taken.accessions, taken.candidates)
