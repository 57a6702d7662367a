"""Reading what steps of orders need to know of: what they name, and what refers to something."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.writing import instant_text
from fhir_server.outcome import Invalid, Issue
from fhir_server.search.keys import hash64_uncached
from fhir_server.search.lookups import START, Row, Wanted, find
from fhir_server.search.values import Instants
from fhir_server.security.principal import ADMINISTRATOR, SYSTEM, Principal
from fhir_server.spec import Definitions
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage.store import Connection
from fhir_server.workflow import orders
from fhir_server.workflow.actors import Actor, is_active, roles_of, unnamed
from fhir_server.workflow.refusals import invalid, not_permitted
from fhir_server.workflow.states import workflow

Resource = dict[str, Any]

MOST_FOUND = 1_000
_ACTORS = ("Device", "Organization", "Practitioner", "PractitionerRole")


def own(engine: Engine, ctx: Context, reference: str) -> tuple[str, str] | None:
    """Type and id of what a reference leads to on this server; None if it leads elsewhere."""
    return orders.own(reference, (ctx.base_url, engine.where.base_url))


async def referred(
    engine: Engine, ctx: Context, connection: Connection, references: Iterable[str]
) -> Mapping[tuple[str, str], Resource]:
    """The resources of this server that references lead to; what is not here is left out."""
    wanted = Wanted()
    wanted.links.current |= {
        found for each in references if (found := own(engine, ctx, each)) is not None
    }
    return {
        (row.type, row.id): _content(row) for row in await _found(engine, ctx, connection, wanted)
    }


async def referring(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    references: Iterable[str],
    parameters: Iterable[tuple[str, str]],
) -> list[Resource]:
    """What refers to any of some resources, by search parameters: types and codes."""
    known = engine.searchable(ctx).parameters
    found = (known.get(type_, code) for type_, code in parameters)
    hashes = [parameter.hash for parameter in found if parameter is not None]
    targets = [hash64_uncached(each) for each in references]
    wanted = Wanted(keys={parameter ^ target for parameter in hashes for target in targets})
    return [_content(row) for row in await _found(engine, ctx, connection, wanted)]


async def _found(engine: Engine, ctx: Context, connection: Connection, wanted: Wanted) -> list[Row]:
    at = engine.settling(ctx, connection)
    rows, total = await find(at, wanted, [], after=START, most=MOST_FOUND, read=MOST_FOUND)
    if total > MOST_FOUND:
        text = f"{total} resources belong to what is asked for; at most {MOST_FOUND} are looked at"
        raise Invalid(Issue("too-costly", text), status=422)
    return rows


def _content(row: Row) -> Resource:
    resource: Resource = decode(row.content or b"")
    return resource


def check_there(
    engine: Engine,
    ctx: Context,
    given: Iterable[tuple[str, str]],
    found: Mapping[tuple[str, str], Resource],
) -> None:
    """Raises `Invalid`, 422, for what a parameter names and is not here, not in use or not meant.

    given: names of parameters, and references.
    """
    for name, reference in given:
        identity = own(engine, ctx, reference)
        expected = _targets(engine.definitions, name)
        if expected and identity is not None and identity[0] not in expected:
            text = f"{name}: expected a reference to a {' or '.join(expected)}"
            raise invalid(f"{text}, found {reference!r}")
        resource = found.get(identity) if identity else None
        if resource is None:
            raise invalid(f"{name}: there is no {reference!r} here", code="not-found")
        if not is_active(resource):
            raise invalid(f"{name}: {reference} is not active", code="business-rule")


@functools.cache
def _targets(definitions: Definitions, name: str) -> tuple[str, ...]:
    """The types that a parameter of our operations on orders may refer to; empty for any."""
    found = {
        target
        for operation in definitions.operations
        if operation.url.startswith(OWN_BASE)
        for parameter in operation.parameters
        if parameter.name == name
        for target in parameter.targets
    }
    return () if "Resource" in found else tuple(sorted(found))


async def actor_of(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    reference: Mapping[str, Any] | None,
    found: Mapping[tuple[str, str], Resource],
) -> Actor:
    """Who does a step: who is named, with the roles they hold, or else who is logged in.

    found: what references of the call lead to. Raises `Invalid`, 422, for what is nobody here, and
    a 403 `Refusal` for somebody who is not active.
    """
    if reference is None:
        return _logged_in(ctx.principal)
    text = reference.get("reference", "")
    identity = own(engine, ctx, text)
    resource = found.get(identity) if identity else None
    if identity is None or resource is None or identity[0] not in _ACTORS:
        expected = " or ".join(_ACTORS)
        raise invalid(f"actor: expected a reference to a {expected} here, found {text!r}")
    _check_self(engine, ctx, resource, text)
    await _check_active(engine, ctx, connection, resource, text)
    roles = await _roles(engine, ctx, connection, resource)
    return Actor(dict(reference), roles, ctx.principal.name, ctx.principal.roles)


def _logged_in(principal: Principal) -> Actor:
    if not principal.fhir_user:
        return unnamed(principal.name, principal.roles)
    who = {"reference": principal.fhir_user}
    return Actor(who, principal.roles, principal.name, principal.roles)


def _check_self(engine: Engine, ctx: Context, actor: Resource, text: str) -> None:
    """Raises a 403 `Refusal` when somebody names another person for what they do themselves."""
    principal = ctx.principal
    if not principal.fhir_user or principal.roles & {ADMINISTRATOR, SYSTEM}:
        return
    names = {f"{actor['resourceType']}/{actor['id']}"}
    if holder := own(engine, ctx, actor.get("practitioner", {}).get("reference", "")):
        names.add("/".join(holder))
    if principal.fhir_user not in names:
        text = f"The actor {text} is not {principal.fhir_user}, who is logged in"
        raise not_permitted(text)


async def _check_active(
    engine: Engine, ctx: Context, connection: Connection, resource: Resource, text: str
) -> None:
    if not is_active(resource):
        raise not_permitted(f"The actor {text} is not active")
    who = resource.get("practitioner", {}).get("reference")
    if who and resource["resourceType"] == "PractitionerRole":
        holders = await referred(engine, ctx, connection, [who])
        if not all(map(is_active, holders.values())):
            raise not_permitted(f"The actor {text} is {who}, who is not active")


async def _roles(
    engine: Engine, ctx: Context, connection: Connection, resource: Resource
) -> frozenset[str]:
    type_ = resource["resourceType"]
    data = workflow().roles
    if type_ in data.actors:
        return frozenset({data.actors[type_]})
    held = [resource]
    if type_ == "Practitioner":
        by = [("PractitionerRole", "practitioner")]
        held = await referring(engine, ctx, connection, [f"{type_}/{resource['id']}"], by)
    return roles_of(data, (each for each in held if _in_force(engine, ctx, each)))


def _in_force(engine: Engine, ctx: Context, role: Resource) -> bool:
    """Whether the period of a PractitionerRole, if it has one, is now."""
    instants = Instants(engine.where.zone)
    period = instants.of_period(role.get("period", {}))
    now = instants.of_text(instant_text(ctx.now()))
    return period is None or (period[0] <= now[0] < period[1])
