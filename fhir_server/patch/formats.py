"""The table of patch formats: what a client may send to PATCH, and who reads it."""

import binascii
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import Invalid, Issue, Refusal
from fhir_server.patch.fhirpath_patch import (
    fhirpath_patch,
    read_fhirpath_json,
    read_fhirpath_xml,
)
from fhir_server.patch.json_patch import read_json_patch
from fhir_server.patch.merge_patch import read_merge_patch
from fhir_server.patch.problems import Patch, PatchFailed
from fhir_server.patch.remains import without_empty
from fhir_server.patch.xml_patch import read_xml_patch


@dataclass(frozen=True, slots=True)
class PatchFormat:
    """One format.

    media_types: the one it is announced by, then others it is known by.
    read: from the bytes of a document to a patch; raises `Invalid` for a malformed one.
    """

    name: str
    media_types: tuple[str, ...]
    read: Callable[[bytes], Patch]


PATCH_FORMATS: tuple[PatchFormat, ...] = (
    PatchFormat("JSON Patch", ("application/json-patch+json",), read_json_patch),
    PatchFormat("JSON merge patch", ("application/merge-patch+json",), read_merge_patch),
    PatchFormat("XML Patch", ("application/xml-patch+xml",), read_xml_patch),
    PatchFormat(
        "FHIRPath Patch",
        ("application/fhir+json", "application/json", "text/json", "application/json+fhir"),
        read_fhirpath_json,
    ),
    PatchFormat(
        "FHIRPath Patch in XML",
        ("application/fhir+xml", "application/xml", "text/xml", "application/xml+fhir"),
        read_fhirpath_xml,
    ),
)

_BY_MEDIA_TYPE = {name: item for item in PATCH_FORMATS for name in item.media_types}
ACCEPT_PATCH = ", ".join(item.media_types[0] for item in PATCH_FORMATS)


def patch_format(media_type: str) -> PatchFormat:
    """The format of a media type in lower case.

    Raises a 415 `Refusal` that lists what exists, for people and as Accept-Patch (RFC 5789 3.1).
    """
    found = _BY_MEDIA_TYPE.get(media_type)
    if found is None:
        given = f"the Content-Type {media_type!r}" if media_type else "no Content-Type"
        text = f"The patch has {given}; expected one of {ACCEPT_PATCH}"
        issue = Issue("not-supported", text)
        raise Refusal(issue, status=415, headers={"Accept-Patch": ACCEPT_PATCH})
    return found


def parse_patch(media_type: str, data: bytes) -> Patch:
    """The patch in a document.

    Raises `Invalid` for a malformed document. The patch raises `PatchFailed` when it cannot be
    applied.
    """
    return _kept(patch_format(media_type).read(data))


def _kept(apply: Patch) -> Patch:
    """The patch with what all formats share: nothing empty remains, and identity stays."""

    def patch(resource: dict[str, Any]) -> dict[str, Any]:
        type_, id_ = resource["resourceType"], resource["id"]
        result = without_empty(apply(resource))
        if not isinstance(result, dict):
            raise PatchFailed(Issue("processing", "The patch leaves no resource"))
        _check_kept(type_, "resourceType", type_, result)
        _check_kept(type_, "id", id_, result)
        return result

    return patch


def _check_kept(type_: str, name: str, value: str, result: dict[str, Any]) -> None:
    found = result.get(name)
    if found != value:
        now = f"from {value!r} to {str(found)[:80]!r}" if name in result else f"{value!r} away"
        text = f"The patch would change the {name} {now}; it has to stay"
        raise PatchFailed(Issue("business-rule", text, f"{type_}.{name}"))


_HOLDERS = f"A PATCH needs Parameters, or a Binary that holds one of {ACCEPT_PATCH}"


def patch_in_bundle(resource: Any) -> Patch:
    """The patch that an entry of a batch or transaction holds (R4 http.html#patch).

    Parameters, or a Binary whose contentType is a patch format's. Raises `Invalid` for anything
    else.
    """
    if isinstance(resource, dict) and resource.get("resourceType") == "Parameters":
        return _kept(fhirpath_patch(resource))
    if not isinstance(resource, dict) or resource.get("resourceType") != "Binary":
        raise Invalid(Issue("invalid", _HOLDERS))
    content_type, data = resource.get("contentType"), resource.get("data")
    if not isinstance(content_type, str) or not isinstance(data, str):
        text = "The Binary of a PATCH needs contentType and data"
        raise Invalid(Issue("required", text, "Binary"))
    try:
        document = b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        text = "The data of a PATCH's Binary is not base64"
        raise Invalid(Issue("value", text, "Binary.data")) from None
    return parse_patch(content_type.partition(";")[0].strip().lower(), document)
