"""The OpenAPI description, made from the registry of interactions."""

from typing import Any

from fhir_server import __version__
from fhir_server.http.negotiation import FHIR_JSON, FHIR_XML, FORM
from fhir_server.interactions.routing import InteractionDefinition, Router
from fhir_server.patch import PATCH_FORMATS
from fhir_server.validation.primitives import CHECKS

_RESOURCE: dict[str, dict[str, Any]] = {FHIR_JSON: {"type": "object"}, FHIR_XML: {"type": "string"}}
_ANSWER = {name: {"schema": schema} for name, schema in _RESOURCE.items()}
_BODIES: dict[str, dict[str, dict[str, Any]]] = {
    "resource": _RESOURCE,
    "parameters": _RESOURCE,
    "form": {FORM: {"type": "object"}},
    "patch": {item.media_types[0]: {} for item in PATCH_FORMATS},
}
_PARAMETERS = {
    "[type]": ("type", "A resource type, such as Patient."),
    "[id]": ("id", "The logical id of a resource."),
    "[vid]": ("vid", "The version of a resource."),
}


def description(router: Router, path: str, resource_types: frozenset[str]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of everything below the FHIR base URL.

    path: of the FHIR base URL, such as `/fhir`.
    """
    paths: dict[str, dict[str, Any]] = {}
    for item in router.interactions:
        template = f"{path}/{item.path}".rstrip("/")
        template = template.replace("[", "{").replace("]", "}")
        paths.setdefault(template, {})[item.method.lower()] = _operation(item, resource_types)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FHIR server",
            "version": __version__,
            "description": "HL7 FHIR R4 (4.0.1) REST interactions.",
        },
        "paths": paths,
    }


def _operation(item: InteractionDefinition, resource_types: frozenset[str]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": item.name,
        "summary": item.summary,
        "tags": [item.level],
        "parameters": [
            _parameter(name, text, resource_types)
            for mark, (name, text) in _PARAMETERS.items()
            if mark in item.path
        ]
        + _in_query(item),
        "responses": {
            "default": {"description": "A resource, or an OperationOutcome", "content": _ANSWER}
        },
    }
    if item.body:
        content = {media: {"schema": schema} for media, schema in _BODIES[item.body].items()}
        required = item.body not in ("form", "parameters")
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _in_query(item: InteractionDefinition) -> list[dict[str, Any]]:
    """The parameters of an operation that a URL can hold."""
    if item.operation is None or item.method != "GET":
        return []
    return [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.min > 0,
            "schema": {"type": "string"} if parameter.max == 1 else _SEVERAL,
        }
        for parameter in item.operation.parameters
        if parameter.use == "in" and parameter.type in CHECKS
    ]


_SEVERAL = {"type": "array", "items": {"type": "string"}}


def _parameter(name: str, text: str, resource_types: frozenset[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name == "type":
        schema["enum"] = sorted(resource_types)
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}
