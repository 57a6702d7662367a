"""What modalities tell of the steps they perform (MPPS, PS3.4 F.7): Procedures, and orders moved.

A Procedure keeps what the modality told, whatever becomes of the order: a modality cannot resolve
what is wrong with an order, and what it did was done. Why the order did not follow stands in a note
of the Procedure.
"""

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset

from fhir_server.context import Context
from fhir_server.dicom.uids import is_uid
from fhir_server.fhir_json import decode
from fhir_server.interactions.create import create
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.update import update
from fhir_server.operations.order_steps import take_step
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Refusal
from fhir_server.packaged import folder
from fhir_server.search import execute
from fhir_server.search.keys import hash64_uncached
from fhir_server.search.query import parse
from fhir_server.storage import resources
from fhir_server.workflow.orders import order_type
from fhir_server.workflow.study_uids import as_value
from fhir_server.worklist.mapping import worklist_mapping

log = logging.getLogger(__name__)

Resource = dict[str, Any]

UID_SYSTEM = "urn:dicom:uid"
_CODES = "http://dicom.nema.org/resources/ontology/DCM"
_IN_PROGRESS = "IN PROGRESS"
_DUPLICATE, _UNKNOWN, _INVALID, _MISSING, _FAILURE = 0x0111, 0x0112, 0x0106, 0x0120, 0x0110
_SHOWN = {"hold": "Discontinued at the device", "cancel": "Discontinued at the device"}


class Refused(Exception):
    """What a modality asks for is not possible; `status` is of DIMSE (PS3.7 annex C)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@functools.cache
def mapping() -> Mapping[str, Mapping[str, str]]:
    """`mappings/dicom/mpps.json`: the statuses of DICOM as those of Procedures, and as steps."""
    path = folder("mappings") / "dicom" / "mpps.json"
    found: Mapping[str, Mapping[str, str]] = json.loads(path.read_text())
    return found


@dataclass(frozen=True, slots=True)
class _Told:
    """What a modality told, as far as it becomes FHIR.

    reason: code and meaning of why it was discontinued. days: dates and times, by ends.
    """

    status: str
    accessions: Sequence[str]
    studies: Sequence[str]
    patient: str
    name: str
    description: str
    start: str
    end: str
    reason: tuple[str, str]


class Mpps:
    """Takes what modalities tell."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(self, ctx: Context, station: str, uid: str, attributes: Dataset) -> None:
        """A step begins. Raises `Refused`, and `Refusal` when it cannot be stored now."""
        told = _told(attributes, self._engine.where.zone)
        _check_uid(uid)
        if told.status != _IN_PROGRESS:
            raise Refused(_INVALID, "a step begins IN PROGRESS")
        async with self._engine.store.transaction(ctx.tenant) as connection:
            inner = self._engine.within(connection)
            # Nobody else begins the same step before this one is stored.
            await resources.lock_names(connection, [hash64_uncached(f"mpps {uid}")])
            if await _found(inner, ctx, "Procedure", UID_SYSTEM, as_value(uid)):
                raise Refused(_DUPLICATE, "the step has begun before")
            device = await _device(inner, ctx, station)
            orders, notes = await _orders(inner, ctx, told)
            for order in orders:
                notes += await _moved(inner, ctx, order, "start", device, told)
            procedure = _procedure(uid, station, told, orders, device)
            await create(
                inner, ctx, Request("POST", "Procedure", resource=_noted(procedure, notes))
            )

    async def change(self, ctx: Context, station: str, uid: str, attributes: Dataset) -> None:
        """More is known of a step, or it ended. Raises as `create` does."""
        told = _told(attributes, self._engine.where.zone)
        _check_uid(uid)
        if told.status and told.status not in mapping()["statuses"]:
            raise Refused(_INVALID, "the status is not one of IN PROGRESS, COMPLETED, DISCONTINUED")
        async with self._engine.store.transaction(ctx.tenant) as connection:
            inner = self._engine.within(connection)
            found = await _found(inner, ctx, "Procedure", UID_SYSTEM, as_value(uid))
            if not found:
                raise Refused(_UNKNOWN, "no such step has begun")
            # Locked, since a modality may send two changes over two associations.
            statements = inner.statements(ctx)
            identity = ("Procedure", found[0]["id"])
            held = (await resources.lock_current(connection, statements, [identity]))[identity]
            procedure = decode(held.content or b"{}")
            if procedure.get("status") != "in-progress":
                raise Refused(_FAILURE, "the step has ended and may not change any more")
            notes = await self._ended(inner, ctx, station, procedure, told)
            changed = _noted(_changed(procedure, told), notes)
            await update(inner, ctx, Request("PUT", *identity, resource=changed))

    async def _ended(
        self, inner: Engine, ctx: Context, station: str, procedure: Resource, told: _Told
    ) -> list[str]:
        if not told.status or told.status == _IN_PROGRESS:
            return []
        step = mapping()["steps"][told.status]
        if told.status == "DISCONTINUED" and told.reason[0] in mapping()["cancelling"]:
            step = "cancel"
        device = await _device(inner, ctx, station)
        notes: list[str] = []
        for each in procedure.get("basedOn", ()):
            order = {"id": each["reference"].partition("/")[2]}
            notes += await _moved(inner, ctx, order, step, device, told)
        return notes


def _check_uid(uid: str) -> None:
    if not is_uid(uid):
        raise Refused(_MISSING, "the step has no UID")


def _told(found: Dataset, zone: ZoneInfo) -> _Told:
    scheduled = found.get("ScheduledStepAttributesSequence") or []
    reasons = found.get("PerformedProcedureStepDiscontinuationReasonCodeSequence") or [Dataset()]
    return _Told(
        _text(found, "PerformedProcedureStepStatus"),
        _several(scheduled, "AccessionNumber", "ScheduledProcedureStepID"),
        [each for each in _several(scheduled, "StudyInstanceUID") if is_uid(each)],
        _text(found, "PatientID"),
        _text(found, "PatientName"),
        _text(found, "PerformedProcedureStepDescription"),
        _moment(found, "Start", zone),
        _moment(found, "End", zone),
        (_text(reasons[0], "CodeValue"), _text(reasons[0], "CodeMeaning")),
    )


def _text(found: Dataset, keyword: str) -> str:
    return str(found.get(keyword) or "").strip()


def _several(items: Any, *keywords: str) -> list[str]:
    values = (_text(item, keyword) for keyword in keywords for item in items)
    return list(dict.fromkeys(filter(None, values)))


def _moment(found: Dataset, end: str, zone: ZoneInfo) -> str:
    day = _text(found, f"PerformedProcedureStep{end}Date")
    clock = _text(found, f"PerformedProcedureStep{end}Time").partition(".")[0]
    try:
        if len(clock) < 4:
            return datetime.strptime(day, "%Y%m%d").date().isoformat() if day else ""
        text = day + clock.ljust(6, "0")
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=zone).isoformat()
    except ValueError:
        raise Refused(_INVALID, f"the {end.lower()} of the step is no date and time") from None


async def _found(
    engine: Engine, ctx: Context, type_: str, system: str, value: str
) -> list[Resource]:
    """What has an identifier; more than one are all given."""
    if set("\\,|$") & set(value):
        return []
    index = engine.searchable(ctx)
    asked = [("identifier", f"{system}|{value}" if system else value)]
    query = parse(index.parameters, type_, asked, engine.circumstances(ctx), unready=index.unready)
    async with engine.store.connection(ctx.tenant) as connection:
        page = await execute.page(engine.settling(ctx, connection), query, size=10)
    return [decode(each.content or b"{}") for each in page.matches]


async def _device(engine: Engine, ctx: Context, station: str) -> Resource | None:
    found = await _found(engine, ctx, "Device", worklist_mapping().ae_title_system, station)
    return found[0] if len(found) == 1 else None


async def _orders(engine: Engine, ctx: Context, told: _Told) -> tuple[list[Resource], list[str]]:
    """The orders that are performed, and why it may not be those that are named."""
    found: dict[str, Resource] = {}
    asked = [(UID_SYSTEM, as_value(uid)) for uid in told.studies]
    asked += [("", accession) for accession in told.accessions]
    for system, value in asked:
        matches = await _found(engine, ctx, "ServiceRequest", system, value)
        orders = [each for each in matches if order_type(each) == "imaging"]
        if len(orders) == 1:
            found[orders[0]["id"]] = orders[0]
    if not found:
        return [], ["The device names no order that is known here"]
    kept, notes = [], []
    for order in found.values():
        if await _is_of_patient(engine, ctx, order, told.patient):
            kept.append(order)
        else:
            notes.append(
                f"The device names another patient than ServiceRequest/{order['id']} is for"
            )
    return kept, notes


async def _is_of_patient(engine: Engine, ctx: Context, order: Resource, id_: str) -> bool:
    type_, _, own = order["subject"].get("reference", "").partition("/")
    async with engine.store.connection(ctx.tenant) as connection:
        found = await resources.read_many(connection, engine.statements(ctx), [(type_, own)])
    patient = decode(found.get((type_, own), b"{}"))
    known = {each.get("value") for each in patient.get("identifier", ())} | {own}
    return not id_ or id_ in known


async def _moved(
    engine: Engine,
    ctx: Context,
    order: Resource,
    step: str,
    device: Resource | None,
    told: _Told,
) -> list[str]:
    """Take a step of an order; what stands in its way is given back."""
    values: dict[str, list[Any]] = {}
    moment = told.start if step == "start" else told.end
    if moment and step in ("start", "complete"):
        values["time"] = [moment]
    if device is not None:
        values["actor"] = [{"reference": f"Device/{device['id']}"}]
    if step in _SHOWN:
        values["reason"] = [": ".join(filter(None, (_SHOWN[step], told.reason[1])))]
    request = Request("POST", "ServiceRequest", order["id"])
    try:
        await take_step(engine, ctx, Parameters(request, values), step)
    except Refusal as refusal:
        if refusal.status >= 500:
            raise
        log.warning("the step %s of ServiceRequest/%s is refused", step, order["id"])
        return [f"{step} was not possible: {refusal}"]
    return []


def _procedure(
    uid: str,
    station: str,
    told: _Told,
    orders: Sequence[Resource],
    device: Resource | None,
) -> Resource:
    actor = {"reference": f"Device/{device['id']}"} if device else {"display": f"AE {station}"}
    found: Resource = {
        "resourceType": "Procedure",
        "identifier": [{"system": UID_SYSTEM, "value": as_value(uid)}],
        "status": "in-progress",
        "category": {"coding": [{"system": "http://snomed.info/sct", "code": "363679005"}]},
        "subject": _subject(told, orders),
        "performer": [{"actor": actor}],
    }
    if orders:
        found["basedOn"] = [{"reference": f"ServiceRequest/{each['id']}"} for each in orders]
        found |= {name: orders[0][name] for name in ("code", "encounter") if name in orders[0]}
    return _changed(found, told)


def _subject(told: _Told, orders: Sequence[Resource]) -> Resource:
    if orders:
        return dict(orders[0]["subject"])
    subject: Resource = {"type": "Patient"}
    if told.patient:
        subject["identifier"] = {"value": told.patient}
    if told.name:
        subject["display"] = told.name
    return subject


def _changed(procedure: Resource, told: _Told) -> Resource:
    status = mapping()["statuses"].get(told.status, procedure["status"])
    found = procedure | {"status": status}
    period = dict(procedure.get("performedPeriod", {}))
    period |= {name: at for name, at in (("start", told.start), ("end", told.end)) if at}
    if period:
        found["performedPeriod"] = period
    if told.description and "code" not in found:
        found["code"] = {"text": told.description}
    if status == "stopped" and any(told.reason):
        found["statusReason"] = _concept(*told.reason)
    return found


def _concept(code: str, meaning: str) -> Resource:
    coding = {"system": _CODES, "code": code} | ({"display": meaning} if meaning else {})
    return {"coding": [coding]} if code else {"text": meaning}


def _noted(procedure: Resource, notes: Sequence[str]) -> Resource:
    more = [{"text": note} for note in notes]
    return procedure | {"note": [*procedure.get("note", ()), *more]} if more else procedure
