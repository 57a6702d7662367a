"""capabilities: made from what is really registered (R4 http.html#capabilities)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from fhir_server import __version__
from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.subset import Subset
from fhir_server.patch import PATCH_FORMATS
from fhir_server.search.includes import ALL, references
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.predicates import supported

# Beside search parameters, what the server can do changes with its release alone.
RELEASED = "2026-11-21"

# Parameters of every search that no SearchParameter defines, with their types (R4 search.html).
_CONTROLS = {
    "_contained": "string", "_containedType": "string", "_count": "number", "_elements": "string",
    "_has": "string", "_include": "string", "_list": "string", "_revinclude": "string",
    "_sort": "string", "_summary": "string", "_total": "string", "_type": "string",
}  # fmt: skip
_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"

# What may refer to more types than this is declared by the wildcard alone, for brevity.
_MOST_TARGETS = 50

# Parameters, by type and code, that are being indexed.
_Unready = frozenset[tuple[str, str]]


async def capabilities(engine: Engine, ctx: Context, request: Request) -> Result:
    """The CapabilityStatement of this server."""
    subset = Subset.of(engine.definitions, request)
    index = engine.indexes.known(ctx.tenant)
    # What is being indexed cannot be searched by yet; told apart by codes, since texts change.
    unready = frozenset(index.unready)
    return Result(200, subset.apply(_statement(engine, ctx.base_url, index.parameters, unready)))


@lru_cache(maxsize=16)
def _statement(
    engine: Engine, base_url: str, parameters: SearchParameters, unready: _Unready
) -> bytes:
    codes: dict[str, list[str]] = {"instance": [], "type": [], "system": []}
    for item in engine.router.interactions:
        if item.code:
            codes[item.level].append(item.code)
    codes["system"].append("batch")
    zone = engine.where.zone.key
    included, reverse = _includes(parameters, unready)
    statement = {
        "resourceType": "CapabilityStatement",
        "id": "server",
        "status": "active",
        "date": RELEASED,
        "kind": "instance",
        "software": {"name": "fhir-server", "version": __version__},
        "implementation": {"description": "HL7 FHIR R4 server on PostgreSQL", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "patchFormat": [item.media_types[0] for item in PATCH_FORMATS],
        "rest": [
            {
                "mode": "server",
                "documentation": f"Dates and times without a zone are taken to be in {zone}.",
                "security": _security(engine.oauth, cross_origin=engine.cross_origin),
                "resource": [
                    _resource(parameters, type_, unready, codes["instance"] + codes["type"])
                    | _supported(engine, type_)
                    | {"searchInclude": [ALL, *included.get(type_, ())]}
                    | {"searchRevInclude": [ALL, *reverse.get(type_, ())]}
                    | _operations(engine, type_)
                    for type_ in sorted(engine.definitions.resource_types)
                ],
                "interaction": [{"code": code} for code in codes["system"]],
                "searchParam": _search_parameters(parameters, "Resource", unready)
                + [{"name": name, "type": type_} for name, type_ in _CONTROLS.items()],
                **_operations(engine, ""),
            }
        ],
    }
    return encode(statement)


def _security(oauth: Mapping[str, str] | None, *, cross_origin: bool) -> dict[str, Any]:
    """How programs get in (SMART App Launch 2, conformance.html#declaring-support)."""
    security: dict[str, Any] = {"cors": cross_origin}
    if oauth is not None:
        coding = {"system": _SERVICES, "code": "SMART-on-FHIR"}
        security["service"] = [{"coding": [coding], "text": "SMART on FHIR"}]
    if oauth:
        places = [{"url": name, "valueUri": url} for name, url in oauth.items()]
        security["extension"] = [{"url": _OAUTH_URIS, "extension": places}]
    return security


def _resource(
    parameters: SearchParameters, type_: str, unready: _Unready, codes: list[str]
) -> dict[str, Any]:
    return {
        "type": type_,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical"],
        "searchParam": _search_parameters(parameters, type_, unready),
    }


def _supported(engine: Engine, type_: str) -> dict[str, Any]:
    """The profiles of a type that the server comes with."""
    found = engine.demands.supported.get(type_)
    return {"supportedProfile": list(found)} if found else {}


def _operations(engine: Engine, type_: str) -> dict[str, Any]:
    """The operations on a type, or on the system if that is empty."""
    owners = (f"{type_}/", "[type]/") if type_ else ("$",)
    found = {
        item.operation.code: item.operation.url
        for item in engine.router.interactions
        if item.operation is not None and item.path.startswith(owners)
    }
    if not found:
        return {}
    return {"operation": [{"name": code, "definition": url} for code, url in sorted(found.items())]}


def _includes(
    parameters: SearchParameters, unready: _Unready
) -> tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]]:
    """The values of _include and of _revinclude that a search for a type takes, by type."""
    included: defaultdict[str, list[str]] = defaultdict(list)
    reverse: defaultdict[str, list[str]] = defaultdict(list)
    for type_ in sorted(parameters.types):
        for item in sorted(references(parameters, type_), key=lambda item: item.code):
            if not supported(item) or (type_, item.code) in unready:
                continue
            value = f"{type_}:{item.code}"
            included[type_].append(value)
            if len(item.targets) <= _MOST_TARGETS:
                for target in item.targets:
                    reverse[target].append(value)
    return included, reverse


def _search_parameters(
    parameters: SearchParameters, type_: str, unready: _Unready
) -> list[dict[str, Any]]:
    return [
        {"name": item.code, "definition": item.definition.url, "type": item.type}
        for item in sorted(parameters.of(type_), key=lambda item: item.code)
        if supported(item) and (type_, item.code) not in unready
    ]
