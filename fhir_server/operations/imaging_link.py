"""Saying by hand which order images are for, where no rule could: $link and $unlink.

What a person decides stays: no rule changes it when further images come.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fhir_server.context import Context
from fhir_server.dicom import links, matching, records
from fhir_server.dicom.holding import Holding
from fhir_server.dicom.matching import Match
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import gone
from fhir_server.interactions.result import Result
from fhir_server.interactions.update import check_preconditions
from fhir_server.operations.operation import Operation
from fhir_server.operations.order_lookups import actor_of, referred
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Conflict, Invalid, Issue, NotFound
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage import archive
from fhir_server.storage.archive import LINKED, UNMATCHED
from fhir_server.workflow.actors import Actor
from fhir_server.workflow.orders import order_type
from fhir_server.workflow.refusals import invalid, no_order, not_permitted

Resource = dict[str, Any]

SHORTEST_REASON = 10
_LINKERS = frozenset({"administrator", "radiologist", "technician"})

# What an operation makes of a study: the study as it becomes, from what it is and who asks.
Change = Callable[[Holding, Parameters, Resource, Actor, str], Awaitable[Resource]]


async def change_study(
    engine: Engine,
    ctx: Context,
    parameters: Parameters,
    roles: frozenset[str],
    change: Change,
) -> Result:
    """Change an ImagingStudy for a reason, by somebody who may, in one transaction.

    Raises `NotFound`, `Gone`, `PreconditionFailed`, `Invalid`, 422, for a reason that is too short,
    and a 403 `Refusal` for who has none of the roles.
    """
    reason = reason_of(parameters)
    async with engine.store.transaction(ctx.tenant) as connection:
        holding = Holding(engine, ctx.at_once(), connection, parameters.id)
        orders = [each.get("reference", "") for each in parameters.all("order")]
        await holding.lock(orders)
        stored = holding.held.get(holding.identity)
        if stored is None:
            text = f"There is no ImagingStudy with the id {parameters.id!r}"
            raise NotFound(Issue("not-found", text))
        if stored.content is None:
            raise gone(stored.type, stored.id, stored.version)
        check_preconditions(parameters.request, stored)
        given = parameters.one("actor")
        named = [given["reference"]] if given and "reference" in given else []
        found = await referred(engine, ctx, connection, named)
        actor = await actor_of(engine, ctx, connection, given, found)
        check_roles(actor, roles)
        study = holding.content(holding.identity)
        study = await change(holding, parameters, study, actor, reason)
        holding.put_study(study)
        written = await holding.store()
        place = next(n for n, each in enumerate(holding.changes) if each.type == "ImagingStudy")
        own = written[place]
        return Result(200, own.content or b"", own.type, own.id, own.version, own.last_updated)


def reason_of(parameters: Parameters) -> str:
    """Why. Raises `Invalid`, 422, for less than a few words."""
    reason = parameters.text("reason").strip()
    if len(reason) < SHORTEST_REASON:
        text = f"reason has {len(reason)} characters; expected at least {SHORTEST_REASON}"
        raise invalid(text)
    return reason


def check_roles(actor: Actor, roles: frozenset[str]) -> None:
    """Raises a 403 `Refusal` unless the actor, and who is logged in, have one of the roles."""
    for whose, has in (("the actor", actor.roles), ("who is logged in", actor.allowed)):
        if not roles & has:
            found = ", ".join(sorted(has)) or "no role"
            raise not_permitted(f"This is for {', '.join(sorted(roles))}; {whose} is {found}")


async def link(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Link a study to orders."""
    return await change_study(engine, ctx, parameters, _LINKERS, _link)


async def _link(
    holding: Holding, parameters: Parameters, study: Resource, actor: Actor, reason: str
) -> Resource:
    orders = [_order(holding, each) for each in parameters.all("order")]
    subjects = {order["subject"].get("reference", "") for order in orders}
    if len(subjects) > 1:
        raise Invalid(Issue("business-rule", "The orders are for different patients"), status=422)
    if study["status"] == "unknown":
        text = "Several patients have images under its study UID; delete those that are wrong first"
        raise Conflict(Issue("business-rule", text))
    match = Match(LINKED, matching.BY_PERSON, evidence=reason)
    after = links.linked(study, orders, match)
    if _same(study, after):
        return study
    holding.tell(_told(holding, "link", actor, reason, links.orders_of(after)))
    if study["status"] == "available":
        holding.complete(links.orders_of(after))
    holding.settle_conflict()
    await archive.mark_under(holding.connection, holding.ctx.tenant, holding.uid, holding.ctx.now())
    return after


def _same(study: Resource, after: Resource) -> bool:
    names = ("basedOn", "subject", "extension")
    return all(study.get(name) == after.get(name) for name in names)


def _order(holding: Holding, reference: Resource) -> Resource:
    """An order that is named. Raises `NotFound`, and `Invalid`, 422, for what is no imaging."""
    text = reference.get("reference", "")
    identity = holding.own(text)
    order = holding.content(identity) if identity and identity[0] == "ServiceRequest" else {}
    if not order:
        raise no_order(f"There is no order {text!r} here")
    if order_type(order) != "imaging":
        raise invalid(f"{text} is no imaging order")
    return order


def _told(
    holding: Holding, activity: str, actor: Actor, reason: str, sources: list[str]
) -> Resource:
    targets = ["/".join(holding.identity)]
    who = dict(actor.reference)
    return records.provenance(activity, targets, who, holding.at, reason, sources)


async def unlink(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Take back the link of a study to its orders."""
    return await change_study(engine, ctx, parameters, _LINKERS, _unlink)


async def _unlink(
    holding: Holding, parameters: Parameters, study: Resource, actor: Actor, reason: str
) -> Resource:
    before = links.orders_of(study)
    if not before:
        if links.decided_by_person(study):
            return study
        raise Conflict(Issue("business-rule", f"ImagingStudy/{holding.uid} is linked to no order"))
    refused = sorted({*links.refused_of(study), *before})
    match = Match(UNMATCHED, matching.BY_PERSON, evidence=reason)
    # Whose images they are is not known any more: the patient was the order's.
    subject = {"display": "Unknown until the images are linked"}
    after = links.apart(study, subject, match, refused)
    holding.tell(_told(holding, "unlink", actor, reason, before))
    await archive.mark_under(holding.connection, holding.ctx.tenant, holding.uid, holding.ctx.now())
    return after


LINK = Operation(
    "ImagingStudy-link",
    link,
    "Say which orders images are for",
    writes=True,
    touches=("ImagingStudy",),
    base=OWN_BASE,
)
UNLINK = Operation(
    "ImagingStudy-unlink", unlink, "Say that images are not for an order", writes=True,
    touches=("ImagingStudy",),
    base=OWN_BASE,
)  # fmt: skip
