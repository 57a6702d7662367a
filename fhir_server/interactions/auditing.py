"""Interactions as events of the audit trail."""

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fhir_server.audit.resource import PREFIX, TYPE
from fhir_server.audit.trail import (
    CREATE,
    DELETE,
    EXECUTE,
    MAJOR_FAILURE,
    MINOR_FAILURE,
    READ,
    SERIOUS_FAILURE,
    UPDATE,
    Audit,
    Event,
)
from fhir_server.context import Context
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.outcome import Issue, Refusal

if TYPE_CHECKING:
    from fhir_server.interactions.engine import Engine

# What shows nothing of anybody.
_PUBLIC = frozenset({"capabilities"})
_ACTIONS = {"POST": CREATE, "PUT": UPDATE, "PATCH": UPDATE, "DELETE": DELETE}
_CHANGES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PATIENT = "Patient"

_ID = rb"[A-Za-z0-9\-.]{1,64}"
# In JSON a quoted name before a colon is a name: quotes inside texts are escaped.
_PATIENT_REFERENCES = re.compile(rb'"reference": ?"(?:[^"]*/)?(Patient/' + _ID + rb')[/"]')
# Only entries of the Bundles that this server makes are written without a space.
_ENTRIES = re.compile(rb'"fullUrl":"[^"]*?([A-Z][A-Za-z]+/' + _ID + rb')"')
_NAMED_PATIENT = re.compile(rf"(?:^|/)(Patient/{_ID.decode()})(?:$|[/,|])")


async def noted(
    engine: "Engine",
    ctx: Context,
    definition: InteractionDefinition,
    request: Request,
    result: Result,
) -> None:
    """Note what was carried out; a version that was stored has been noted with it."""
    if engine.audit.on and definition.name not in _PUBLIC and not result.written:
        await engine.audit.note(ctx, _event(definition, request, result))


async def noted_refusal(
    engine: "Engine",
    ctx: Context,
    definition: InteractionDefinition,
    request: Request,
    refusal: Refusal,
) -> None:
    """Note what was asked for and refused."""
    if engine.audit.on and definition.name not in _PUBLIC:
        await engine.audit.note(
            ctx,
            Event(
                _action(definition),
                definition.name,
                request.type,
                request.id,
                shown=_named(request),
                query=urlencode(request.query),
                outcome=_failure(refusal.status),
                reason=f"{refusal.issues[0].code} {refusal.status}",
            ),
        )


def of_trail(type_: str, id_: str) -> bool:
    """Whether an identity is that of an event of the trail."""
    return type_ == TYPE and id_.startswith(PREFIX)


def refuse_change(type_: str, id_: str) -> None:
    """Raises a 405 `Refusal` for an event of the trail, which nobody can change."""
    if of_trail(type_, id_):
        text = f"{type_}/{id_} is an event of the audit trail; it can only be read"
        raise Refusal(Issue("not-supported", text), status=405, headers={"Allow": "GET, HEAD"})


def change_line(
    audit: Audit, ctx: Context, identity: tuple[str, str], version: int, method: str, json: bytes
) -> str | None:
    """The event of a new version, to be stored with it; None if there is no trail.

    method: the verb that history tells. json: of the version, or of the one that is deleted.
    """
    if not audit.on:
        return None
    type_, id_ = identity
    action = CREATE if version == 1 else _ACTIONS.get(method, UPDATE)
    shown = [each.decode() for each in dict.fromkeys(_PATIENT_REFERENCES.findall(json))]
    name = _CHANGES.get(method, method)
    return audit.line(ctx, Event(action, name, type_, id_, version, version - 1, shown))


def _event(definition: InteractionDefinition, request: Request, result: Result) -> Event:
    # The entries of a batch have been noted themselves.
    shown = [] if definition.name == "batch" else _shown(result)
    if request.query or request.compartment:
        shown = list(dict.fromkeys([*_named(request), *shown]))
    return Event(
        _action(definition),
        definition.name,
        result.type or request.type,
        result.id or request.id,
        result.version,
        shown=shown,
        query=urlencode(request.query) if request.query else "",
    )


def _action(definition: InteractionDefinition) -> str:
    if definition.operation is not None or definition.name == "batch":
        return EXECUTE
    if definition.name.startswith("search"):
        return EXECUTE
    return _ACTIONS.get(definition.method, READ)


def _failure(status: int) -> str:
    if status < 500:
        return MINOR_FAILURE
    return MAJOR_FAILURE if status == 500 else SERIOUS_FAILURE


def _shown(result: Result) -> list[str]:
    """What an answer shows, and the patients that this refers to.

    Read from the answer itself, so that whatever leaves by whatever operation is told.
    """
    body = result.body
    if body is None:
        return []
    found = _PATIENT_REFERENCES.findall(body)
    if not result.id:
        found += _ENTRIES.findall(body)
    return [each.decode() for each in dict.fromkeys(found)]


def _named(request: Request) -> list[str]:
    """The patients that a request names without reading them."""
    found = []
    if request.compartment is not None and request.compartment[0] == _PATIENT:
        found.append("/".join(request.compartment))
    for name, value in request.query:
        bare = name == "patient" or name.endswith(":Patient")
        bare = bare or (request.type == _PATIENT and name == "_id")
        for each in value.split(","):
            if match := _NAMED_PATIENT.search(each):
                found.append(match[1])
            elif bare:
                found.append(f"{_PATIENT}/{each}")
    return found
