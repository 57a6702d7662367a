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
from fhir_server.search.sealed import veiled

if TYPE_CHECKING:
    from fhir_server.interactions.engine import Engine

# What shows nothing of anybody.
_PUBLIC = frozenset({"capabilities"})
_ACTIONS = {"POST": CREATE, "PUT": UPDATE, "PATCH": UPDATE, "DELETE": DELETE}
_CHANGES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PATIENT = "Patient"

_ID = r"[A-Za-z0-9\-.]{1,64}"
# Where a reference to a patient may be, and what comes before one that is.
_MENTION = b"Patient/"
_BEFORE = b'"/'
_ENTRY = '"fullUrl":"%s/'
_NAMED_PATIENT = re.compile(rf"(?:^|/)(Patient/{_ID})(?:$|[/,|])")


async def noted(
    engine: "Engine",
    ctx: Context,
    definition: InteractionDefinition,
    request: Request,
    result: Result,
) -> None:
    """Note what was carried out; a version that was stored has been noted with it."""
    if engine.audit.on and definition.name not in _PUBLIC and not result.written:
        query = _query(engine, ctx, request)
        await engine.audit.note(ctx, _event(definition, request, result, ctx.base_url, query))


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
                query=_query(engine, ctx, request),
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
    shown = list(dict.fromkeys(patients_in(json)))
    name = _CHANGES.get(method, method)
    return audit.line(ctx, Event(action, name, type_, id_, version, version - 1, shown))


def _query(engine: "Engine", ctx: Context, request: Request) -> str:
    """What was asked for; of elements that are encrypted at rest without the values."""
    if not request.query:
        return ""
    index = engine.indexes.known(ctx.tenant)
    query = request.query
    return urlencode(veiled(index.parameters, request.type, query) if index.sealed else query)


def _event(
    definition: InteractionDefinition, request: Request, result: Result, base_url: str, query: str
) -> Event:
    # The entries of a batch have been noted themselves.
    shown = [] if definition.name == "batch" else _shown(result, base_url)
    if request.query or request.compartment:
        shown = list(dict.fromkeys([*_named(request), *shown]))
    return Event(
        _action(definition),
        definition.name,
        result.type or request.type,
        result.id or request.id,
        result.version,
        shown=shown,
        query=query,
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


def _shown(result: Result, base_url: str) -> list[str]:
    """What an answer shows, and the patients that this refers to.

    Read from the answer itself, so that whatever leaves by whatever operation is told.
    """
    body = result.body
    if body is None:
        return []
    found = patients_in(body)
    if not result.id:
        found += _entries(body, base_url)
    return list(dict.fromkeys(found))


def patients_in(json: bytes) -> list[str]:
    """`Patient/id` of each patient that is named as a whole by some value or at the end of one."""
    found = []
    before, *parts = json.split(_MENTION)
    for part in parts:
        end = part.find(b'"', 0, 80)
        if end > 0 and before[-1:] in _BEFORE:
            found.append(f"Patient/{part[:end].partition(b'/')[0].decode()}")
        before = part
    return found


def _entries(bundle: bytes, base_url: str) -> list[str]:
    """`Type/id` of each entry of a Bundle that this server has made.

    Only such entries are written without a space after the name.
    """
    parts = bundle.split((_ENTRY % base_url).encode())
    return [part[: part.find(b'"')].decode() for part in parts[1:]]


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
