"""Which messages a change makes, and what they are made of."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from fhir_server.context import Context
from fhir_server.fhir_json import decode, encode_sorted
from fhir_server.hl7v2.message import Message
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.writing import instant_text
from fhir_server.messaging import answers
from fhir_server.messaging.settings import DestinationSettings, MessagingSettings
from fhir_server.messaging.writing import Header, Writer
from fhir_server.outcome import Refusal
from fhir_server.storage import resources
from fhir_server.storage.outgoing import Changed, Queued
from fhir_server.storage.store import Connection
from fhir_server.workflow.orders import order_type

log = logging.getLogger(__name__)

Resource = dict[str, Any]

_FINAL = ("final", "amended", "corrected", "appended")
# What of a resource says nothing that a message tells.
_ASIDE = frozenset({"id", "meta", "relevantHistory", "text", "status", "statusReason"})
_ENDED = ("revoked", "entered-in-error")
TYPES = {"orders": "ServiceRequest", "reports": "DiagnosticReport", "patients": "Patient"}


@dataclass(frozen=True, slots=True)
class Composed:
    """A message for a destination; about: versions that it tells of. orders: references.

    message: None if none can be made, for a reason.
    """

    destination: DestinationSettings
    message: Message | None
    control_id: str
    type: str
    about: Sequence[str]
    patient: str = ""
    orders: Sequence[str] = ()
    reason: str = ""

    @property
    def content(self) -> bytes:
        """The message as bytes."""
        return self.message.encode() if self.message is not None else b""


@dataclass(frozen=True, slots=True)
class _Change:
    """A change with the version before it; a deletion has no `now`."""

    changed: Changed
    before: Resource | None
    now: Resource | None

    @property
    def about(self) -> str:
        return f"{self.changed.type}/{self.changed.id}/_history/{self.changed.version}"


class Composing:
    """Makes messages of changes, for each destination that wants to know."""

    def __init__(
        self, engine: Engine, ctx: Context, settings: MessagingSettings, writer: Writer
    ) -> None:
        self._engine = engine
        self._ctx = ctx
        self._settings = settings
        self._writer = writer

    async def compose(self, connection: Connection, changed: Changed) -> list[Composed]:
        """The messages that a change makes."""
        wanting = [each for each in self._settings.destinations if _wants(each, changed)]
        if not wanting:
            return []
        change = await self._change(connection, changed)
        try:
            return await self._composed_of(connection, change, wanting)
        except (Refusal, psycopg.Error, OSError):
            raise
        except Exception as error:
            # The next changes are not held up by one that no message can be made of.
            log.exception("no message can be made of %s", change.about)
            reason, control_id = _said_of(error), answers.new_control_id()
            return [
                Composed(each, None, control_id, "", [change.about], reason=reason)
                for each in wanting
            ]

    async def again(
        self, connection: Connection, queued: Queued, destination: DestinationSettings
    ) -> Composed:
        """A message that could not be made when it was queued, by the rules of today."""
        type_, id_, _, version = queued.about[0].split("/")
        changed = Changed(0, type_, id_, int(version), None)
        for each in await self.compose(connection, changed):
            if each.destination.name == destination.name:
                return each
        reason = "by the rules of today nothing is told of the change"
        return Composed(
            destination, None, queued.control_id, queued.type, queued.about, reason=reason
        )

    async def _composed_of(
        self, connection: Connection, change: _Change, wanting: Sequence[DestinationSettings]
    ) -> list[Composed]:
        changed = change.changed
        match changed.type:
            case "ServiceRequest":
                return await self._of_order(connection, change, wanting)
            case "DiagnosticReport":
                return await self._of_report(connection, change, wanting)
        return self._of_patient(change, wanting)

    async def _change(self, connection: Connection, changed: Changed) -> _Change:
        statements = self._engine.statements(self._ctx)
        versions = []
        for number in (changed.version - 1, changed.version):
            row = None
            if number > 0:
                row = await resources.version(
                    connection, statements, changed.type, changed.id, number
                )
            content = row.content if row is not None else None
            versions.append(decode(content) if content is not None else None)
        return _Change(changed, *versions)

    async def _of_order(
        self, connection: Connection, change: _Change, wanting: Iterable[DestinationSettings]
    ) -> list[Composed]:
        order = change.now or change.before
        control = _control(change.before, change.now)
        if order is None or not order_type(order) or not control:
            return []
        around = await self._around(connection, order)
        variables = around | {
            "context": order,
            "order": order,
            "control": control,
            "reason": _reason(around["task"]) if control == "CA" else [],
            "status": "CA" if control == "CA" else [],
        }
        return [
            self._composed(each, each.order_message, change, order, [_reference(order)], variables)
            for each in wanting
            if not each.order_types or order_type(order) in each.order_types
        ]

    async def _of_report(
        self, connection: Connection, change: _Change, wanting: Iterable[DestinationSettings]
    ) -> list[Composed]:
        report, before = change.now, change.before or {}
        if report is None or report.get("status") not in _FINAL or _same(before, report, "status"):
            return []
        based = [each.get("reference", "") for each in report.get("basedOn", ())]
        observed = [each.get("reference", "") for each in report.get("result", ())]
        named = [each.get("reference", "") for each in report.get("resultsInterpreter", ())]
        found = await self._read(connection, [*based, *observed, *named])
        order = next((found[each] for each in based if each in found), None)
        around = await self._around(connection, order or report)
        variables = around | {
            "context": report,
            "report": report,
            "order": order or [],
            "observations": [found[each] for each in observed if each in found],
            "interpreter": next((found[each] for each in named if each in found), []),
            "control": "RE",
            "status": "CM",
            "reason": [],
        }
        orders = [_reference(order)] if order else []
        type_ = order_type(order or {})
        return [
            self._composed(each, "ORU_R01", change, report, orders, variables)
            for each in wanting
            if not each.order_types or type_ in each.order_types
        ]

    def _of_patient(
        self, change: _Change, wanting: Iterable[DestinationSettings]
    ) -> list[Composed]:
        patient, before = change.now, change.before
        if patient is None or (before is not None and _same(before, patient)):
            return []
        event = "A28" if before is None else "A31"
        variables = {"context": patient, "patient": patient, "event": event}
        return [
            self._composed(each, f"ADT_{event}", change, patient, [], variables) for each in wanting
        ]

    def _composed(
        self,
        destination: DestinationSettings,
        name: str,
        change: _Change,
        resource: Resource,
        orders: Sequence[str],
        variables: Mapping[str, Any],
    ) -> Composed:
        now = self._ctx.now()
        control_id = answers.new_control_id()
        header = Header(
            (self._settings.application, self._settings.facility),
            (destination.application, destination.facility),
            now.strftime("%Y%m%d%H%M%S%z"),
            control_id,
            destination.processing_id,
            destination.version,
        )
        known = {"application": self._settings.application, "time": _instant(now)}
        message, reason = None, ""
        try:
            message = self._writer.write(name, header, {**_ALL, **known, **variables})
        except Exception as error:
            log.exception("no %s can be made of %s", name, change.about)
            reason = _said_of(error)
        subject = resource.get("subject", {}).get("reference", "")
        patient = _reference(resource) if resource["resourceType"] == "Patient" else subject
        type_ = name.replace("_", "^")
        about = [change.about]
        return Composed(destination, message, control_id, type_, about, patient, orders, reason)

    async def _around(self, connection: Connection, resource: Resource) -> dict[str, Any]:
        """What an order or a report names, as it is now."""

        def named(element: str) -> str:
            return str(resource.get(element, {}).get("reference", ""))

        conditions = [each.get("reference", "") for each in resource.get("reasonReference", ())]
        specimens = [each.get("reference", "") for each in resource.get("specimen", ())]
        task = f"Task/{resource['id']}"
        requester = named("requester")
        wanted = [named("subject"), named("encounter"), requester, task, *conditions, *specimens]
        found = await self._read(connection, wanted)
        role = found.get(requester, {})
        if role.get("resourceType") == "PractitionerRole":
            who = role.get("practitioner", {}).get("reference", "")
            found |= {requester: (await self._read(connection, [who])).get(who, {})}
        return {
            "patient": found.get(named("subject"), []),
            "encounter": found.get(named("encounter"), []),
            "requester": found.get(requester) or [],
            "task": found.get(task, []),
            "conditions": [found[each] for each in conditions if each in found],
            "specimen": [found[each] for each in specimens if each in found],
        }

    async def _read(self, connection: Connection, references: Iterable[str]) -> dict[str, Resource]:
        wanted = [tuple(each.split("/")) for each in references if each.count("/") == 1]
        statements = self._engine.statements(self._ctx)
        pairs = [(type_, id_) for type_, id_ in wanted]
        rows = await resources.read_many(connection, statements, pairs)
        return {f"{type_}/{id_}": decode(content) for (type_, id_), content in rows.items()}


# Every variable that rules may name; what a message does not have is empty.
_ALL: Mapping[str, Any] = {
    name: []
    for name in (
        "order", "task", "patient", "encounter", "requester", "report", "observations",
        "specimen", "interpreter", "conditions", "control", "status", "code", "reason", "event",
        "time", "application", "number",
    )
}  # fmt: skip


def _said_of(error: Exception) -> str:
    return f"no message can be made: {type(error).__name__}: {error}"


def _wants(destination: DestinationSettings, changed: Changed) -> bool:
    """Whether a destination is told of changes of a type, unless it made this one itself."""
    own = f"{destination.application}|{destination.facility}"
    return changed.origin != own and any(TYPES[e] == changed.type for e in destination.sends)


def _control(before: Resource | None, now: Resource | None) -> str:
    """ORC-1 for what became of an order; empty where there is nothing to tell."""
    was = (before or {}).get("status", "")
    status = (now or {}).get("status", "")
    if was in ("", "draft"):
        return "NW" if status == "active" else ""
    if was in ("completed", *_ENDED):
        return ""
    if now is None or status in _ENDED:
        return "CA"
    if status != was:
        return {"on-hold": "HD", "active": "RL"}.get(status, "")
    return "" if _same(before or {}, now) else "XO"


def _same(before: Resource, now: Resource, *beside: str) -> bool:
    """Whether two versions say the same, apart from numbers that others add."""
    if any(before.get(name) != now.get(name) for name in beside):
        return False
    return _said(before) == _said(now)


def _said(resource: Resource) -> bytes:
    said = {name: value for name, value in resource.items() if name not in _ASIDE}
    # Only a merge changes whom they are about, of which receivers hear from who merges.
    said.pop("subject", None)
    if resource.get("resourceType") == "ServiceRequest":
        said.pop("identifier", None)
    return encode_sorted(said)


def _reason(task: Any) -> Any:
    """Why an order is cancelled."""
    reason = task.get("statusReason", {}) if isinstance(task, dict) else {}
    return reason.get("text") or []


def _reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _instant(now: datetime) -> str:
    return instant_text(now)
