"""The events of messages that this server carries out, as data (R4 messaging.html).

R4 defines no event itself, so each is of this server's own code system.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.batch import batch_or_transaction
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.outcome import Issue

SYSTEM = "urn:fhir-server:message-events"

Entries = Sequence[dict[str, Any]]
# Carries out an event with the entries after the header; gives what there is to tell of it.
# Raises a Refusal, and then nothing was done.
Event = Callable[[Engine, Context, Entries], Awaitable[Sequence[Issue]]]


async def provide(engine: Engine, ctx: Context, entries: Entries) -> Sequence[Issue]:
    """Store all resources of a message or none: update what has a known identifier, create others.

    References between them lead to where they are stored here.
    """
    transaction = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_stored(engine, ctx, entry) for entry in entries],
    }
    result = await batch_or_transaction(engine, ctx, Request("POST", resource=transaction))
    answers = decode(result.body or b"").get("entry", ())
    return [
        Issue("informational", f"Stored {each['response']['location']}", severity="information")
        for each in answers
    ]


def _stored(engine: Engine, ctx: Context, entry: dict[str, Any]) -> dict[str, Any]:
    resource = {name: value for name, value in entry["resource"].items() if name != "id"}
    type_ = resource["resourceType"]
    found: dict[str, Any] = {"resource": resource, "request": {"method": "POST", "url": type_}}
    if "fullUrl" in entry:
        found["fullUrl"] = entry["fullUrl"]
    query = _identified(resource)
    if query and engine.index(ctx).parameters.get(type_, "identifier"):
        found["request"] = {"method": "PUT", "url": f"{type_}?{query}"}
    return found


def _identified(resource: dict[str, Any]) -> str:
    """The search that finds a resource by its first whole identifier, empty if it has none."""
    given = resource.get("identifier", [])
    for each in given if isinstance(given, list) else [given]:
        if each.get("system") and each.get("value"):
            token = "|".join(_escaped(each[name]) for name in ("system", "value"))
            return urlencode({"identifier": token})
    return ""


def _escaped(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


# By system and code; an event that is a uri has no system.
EVENTS: Mapping[tuple[str, str], Event] = MappingProxyType({(SYSTEM, "provide"): provide})
