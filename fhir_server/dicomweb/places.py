"""Paths of DICOMweb, made of checked UIDs only, here and in the archive."""

import re
from dataclasses import dataclass
from typing import Any

from fhir_server.dicom.uids import is_uid
from fhir_server.outcome import Invalid, Issue

Json = dict[str, Any]

_ARCHIVE = "/dicom-web"
_RETRIEVE_URL = "00081190"
_BULK_PATH = re.compile(r"[0-9A-Fa-f]{8}(?:/[1-9][0-9]{0,5}/[0-9A-Fa-f]{8}){0,9}")
_BULK = re.compile(
    r"https?://[^/]+/dicom-web/studies/([0-9.]+)/series/([0-9.]+)/instances/([0-9.]+)/bulk/(.+)"
)
_LEVELS = (
    ("study", "0020000D", "studies"),
    ("series", "0020000E", "series"),
    ("instance", "00080018", "instances"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A study, a series or an instance; empty texts beyond what is meant."""

    study: str = ""
    series: str = ""
    instance: str = ""

    @property
    def path(self) -> str:
        """`/studies/…` as far as it goes."""
        parts = (("studies", self.study), ("series", self.series), ("instances", self.instance))
        return "".join(f"/{name}/{uid}" for name, uid in parts if uid)

    @property
    def in_archive(self) -> str:
        """The path in the archive."""
        return _ARCHIVE + self.path


def place(study: str = "", series: str = "", instance: str = "") -> Place:
    """What a URL names. Raises `Invalid` for what is no UID.

    An archive resolves dots in paths even where they are encoded, up to its administration.
    """
    for uid in (study, series, instance):
        if uid and not is_uid(uid):
            raise Invalid(Issue("value", f"{uid[:80]!r} is no UID: expected digits and dots"))
    return Place(study, series, instance)


def bulk_path(text: str) -> str:
    """Where a value stands in an instance. Raises `Invalid` for what is no such place."""
    if not _BULK_PATH.fullmatch(text):
        raise Invalid(Issue("value", f"{text[:80]!r}: expected a tag as eight hexadecimal digits"))
    return text.lower()


def told(row: Json, base: str) -> Json:
    """A row as the archive gives it, with URLs of ours; one that cannot be ours is left out."""
    found = {tag: _element(element, base) for tag, element in row.items() if tag != _RETRIEVE_URL}
    uids = {
        name: (element.get("Value") or [""])[0]
        for name, tag, _ in _LEVELS
        if (element := row.get(tag)) is not None
    }
    at = Place(**uids)
    if at.study:
        found[_RETRIEVE_URL] = {"vr": "UR", "Value": [base + at.path]}
    return dict(sorted(found.items()))


def _element(element: Any, base: str) -> Any:
    if not isinstance(element, dict):
        return element
    found = dict(element)
    if "BulkDataURI" in found:
        url = _own_url(str(found.pop("BulkDataURI")), base)
        if url:
            found["BulkDataURI"] = url
    if found.get("vr") == "SQ":
        found["Value"] = [
            {tag: _element(each, base) for tag, each in item.items()} if item else item
            for item in found.get("Value", ())
        ]
    return found


def _own_url(url: str, base: str) -> str:
    match = _BULK.fullmatch(url)
    if (
        match is None
        or not all(map(is_uid, match.groups()[:3]))
        or not _BULK_PATH.fullmatch(match[4])
    ):
        return ""
    return f"{base}{Place(match[1], match[2], match[3]).path}/bulk/{match[4]}"
