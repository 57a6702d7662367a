"""From an operation of a script to the request (R4 TestScript.setup.action.operation)."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

from fhir_server import fhir_json
from fhir_server.conformance.content import Content, NoResource, Request, media_type
from fhir_server.conformance.model import Operation
from fhir_server.conformance.values import Values
from fhir_server.outcome import Invalid
from fhir_server.xml import encode_xml

# The codes that R4 has for media types, and what goes over the wire.
MEDIA_TYPES = {
    "json": "application/fhir+json",
    "xml": "application/fhir+xml",
    "ttl": "text/turtle",
}
_FORM = "application/x-www-form-urlencoded"

_METHODS = {
    "read": "GET", "vread": "GET", "history": "GET", "search": "GET", "capabilities": "GET",
    "create": "POST", "batch": "POST", "transaction": "POST",
    "update": "PUT", "updateCreate": "PUT", "patch": "PATCH",
    "delete": "DELETE", "deleteCondSingle": "DELETE", "deleteCondMultiple": "DELETE",
}  # fmt: skip


class CannotBuild(Exception):
    """An operation that makes no request; says what it lacks."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What operations refer to.

    content: what has an id. Raises CannotBuild for an unknown one.
    base_url: of a destination. Raises CannotBuild.
    format: `json` or `xml`, for operations that do not say.
    """

    content: Callable[[str], Content]
    base_url: Callable[[int | None], str]
    values: Values
    format: str


def request(operation: Operation, sources: Sources) -> Request:
    """The request of an operation. Raises CannotBuild and NoValue."""
    method = operation.method or _method(operation)
    source = sources.content(operation.source_id) if operation.source_id else None
    fill = sources.values.fill
    if operation.url is not None:
        path = fill(operation.url)
    else:
        params = fill(operation.params or "")
        path = _path(operation, method, params, sources, source)
    headers: list[tuple[str, str]] = []
    if operation.accept != "none":
        accept = sources.format if operation.accept is None else operation.accept
        headers.append(("Accept", MEDIA_TYPES.get(accept, accept)))
    content_type, body = _body(operation, method, sources, source)
    if content_type is not None:
        headers.append(("Content-Type", content_type))
    own = [(fill(field), fill(value)) for field, value in operation.headers]
    replaced = {field.lower() for field, _ in own}
    headers = [each for each in headers if each[0].lower() not in replaced] + own
    url = _absolute(path, sources.base_url(operation.destination))
    return Request(method, url, headers, body, encode_url=operation.encode_url)


def _absolute(path: str, base_url: str) -> str:
    if path.startswith(("http://", "https://")):
        return path
    if path.startswith("?"):
        return base_url + path
    return f"{base_url}/{path.lstrip('/')}" if path else base_url


def _method(operation: Operation) -> str:
    method = _METHODS.get(operation.type)
    if method is not None:
        return method
    if not operation.type:
        raise CannotBuild("the operation has neither a type nor a method")
    return "POST" if operation.source_id else "GET"


def _path(
    operation: Operation, method: str, params: str, sources: Sources, source: Content | None
) -> str:
    """Path and query below the base URL, from `params`, `targetId` or what is sent."""
    type_ = operation.type
    if type_ == "capabilities":
        return "metadata" + params
    if type_ in ("batch", "transaction"):
        return params
    resource = operation.resource or ""
    if type_ not in _METHODS:
        return _operation_path(operation, params, sources)
    if type_ == "search" and method == "POST":
        return "/".join(each for each in (resource, "_search") if each)
    if params:
        if not resource and type_ in ("read", "vread"):
            raise CannotBuild(f"the {type_} needs a resource type beside its params")
        path = resource + _joined(params)
        return _with_history(path) if type_ == "history" else path
    if operation.target_id is not None:
        return _instance(type_, sources.content(operation.target_id))
    if source is not None and type_ in ("update", "updateCreate") and "id" in _resource(source):
        return _instance(type_, source)
    if not resource and source is not None:
        resource = str(_resource(source).get("resourceType", ""))
    if type_ in ("read", "vread"):
        raise CannotBuild(f"the {type_} needs url, params or targetId")
    return _with_history(resource) if type_ == "history" else resource


def _operation_path(operation: Operation, params: str, sources: Sources) -> str:
    """Where a `$operation` is invoked (R4 operations.html): on a type, an instance, the system."""
    name = operation.type if operation.type.startswith("$") else f"${operation.type}"
    if "$" in params.partition("?")[0]:
        return (operation.resource or "") + _joined(params)
    path, mark, query = _joined(params).partition("?") if params else ("", "", "")
    if operation.target_id is not None and not path:
        start = _instance("read", sources.content(operation.target_id))
    else:
        start = (operation.resource or "") + path
    return "/".join(each for each in (start.rstrip("/"), name) if each) + mark + query


def _joined(params: str) -> str:
    if params.startswith(("/", "?")):
        return params
    return f"?{params}" if "=" in params.partition("/")[0] else f"/{params}"


def _with_history(path: str) -> str:
    path, mark, query = path.partition("?")
    if "_history" not in path.split("/"):
        path = f"{path}/_history" if path else "_history"
    return path + mark + query


def _resource(content: Content) -> dict[str, object]:
    try:
        return content.resource
    except NoResource as error:
        raise CannotBuild(str(error)) from None


def _instance(type_: str, content: Content) -> str:
    """`[type]/[id]` of a resource, with its version for a vread (R4 http.html#vread)."""
    resource = _resource(content)
    name, id_ = resource.get("resourceType"), resource.get("id")
    if not isinstance(name, str) or not isinstance(id_, str):
        raise CannotBuild(f"{content.what} has no id to make a URL of")
    path = f"{name}/{id_}"
    if type_ == "history":
        return f"{path}/_history"
    if type_ != "vread":
        return path
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    if not isinstance(version, str):
        raise CannotBuild(f"{content.what} has no meta.versionId to make a URL of")
    return f"{path}/_history/{version}"


def _body(
    operation: Operation, method: str, sources: Sources, source: Content | None
) -> tuple[str | None, bytes]:
    given = operation.content_type
    wanted = None if given is None or given == "none" else MEDIA_TYPES.get(given, given)
    if operation.type == "search" and method == "POST" and source is None:
        query = sources.values.fill(operation.params or "").lstrip("?/")
        return wanted or _FORM, query.replace("|", "%7C").replace(" ", "%20").encode()
    if source is None:
        return wanted, b""
    try:
        resource = source.resource
    except NoResource:
        return wanted or _guessed(source.body), source.body
    if wanted is None:
        wanted = MEDIA_TYPES[sources.format]
    essence = media_type(wanted)
    if resource.get("resourceType") == "Binary" and not _is_fhir(essence):
        return wanted, _binary(resource, source)
    if essence.endswith(("/xml", "+xml")) and "resourceType" in resource:
        try:
            return wanted, encode_xml(resource)
        except Invalid as error:
            raise CannotBuild(f"{source.what} cannot be written as XML: {error}") from None
    return wanted, fhir_json.encode(resource)


def _is_fhir(essence: str) -> bool:
    return "fhir" in essence or essence in ("application/json", "application/xml", "text/xml")


def _guessed(body: bytes) -> str:
    if body.lstrip()[:1] == b"<":
        return "application/xml-patch+xml"
    return "application/json-patch+json"


def _binary(resource: dict[str, object], source: Content) -> bytes:
    try:
        return base64.b64decode(str(resource.get("data", "")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CannotBuild(f"{source.what}: its data is no base64: {error}") from None
