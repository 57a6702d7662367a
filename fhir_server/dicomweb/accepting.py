"""What a client takes back, said to the archive in words that are ours (PS3.18 8.7.4)."""

import re
from dataclasses import dataclass

from fhir_server.dicom.uids import is_uid
from fhir_server.outcome import Issue, Refusal

_PARTS = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
_OCTETS = "application/octet-stream"
_DICOM = "application/dicom"
_FRAME_TYPES = frozenset(
    {_OCTETS, "image/jpeg", "image/jls", "image/jp2", "image/jpx",
     "image/dicom-rle", "image/x-dicom-rle", "image/jphc"}
)  # fmt: skip
_PICTURES = ("image/jpeg", "image/png")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the archive is asked for.

    alone: the client takes the one thing it asks for by itself, not as a part of many.
    """

    header: str
    alone: bool = False


def not_acceptable(text: str) -> Refusal:
    """Nothing that the client takes can be given: 406."""
    return Refusal(Issue("not-supported", text), status=406)


def frames(accept: str) -> Accepted:
    """What is asked for frames or bulk data. Raises a 406 `Refusal`."""
    for type_, options in _types(accept):
        if type_ in ("*/*", "multipart/*"):
            return Accepted(_parts(_OCTETS, "*"))
        inner = options.get("type", _OCTETS)
        if type_ == "multipart/related" and inner == "*/*":
            return Accepted(_parts(_OCTETS, options.get("transfer-syntax", "*")))
        if type_ == "multipart/related" and inner in _FRAME_TYPES:
            return Accepted(_parts(inner, _syntax_of(inner, options)))
        if type_ in _FRAME_TYPES:
            return Accepted(_parts(type_, _syntax_of(type_, options)), alone=True)
    raise not_acceptable("Expected Accept: multipart/related; type=application/octet-stream")


def instances(accept: str) -> Accepted:
    """What is asked for whole files. Raises a 406 `Refusal`."""
    for type_, options in _types(accept):
        if type_ in ("*/*", "multipart/*"):
            return Accepted(_parts(_DICOM, "*"))
        if type_ == "multipart/related" and options.get("type", "*/*") in (_DICOM, "*/*"):
            return Accepted(_parts(_DICOM, options.get("transfer-syntax", "*")))
        if type_ == _DICOM:
            return Accepted(_parts(_DICOM, options.get("transfer-syntax", "*")), alone=True)
    raise not_acceptable("Expected Accept: multipart/related; type=application/dicom")


def picture(accept: str) -> str:
    """`image/jpeg` or `image/png`. Raises a 406 `Refusal`."""
    for type_, _ in _types(accept):
        if type_ in _PICTURES:
            return type_
        if type_ in ("*/*", "image/*"):
            return _PICTURES[0]
    raise not_acceptable(f"Expected Accept: {' or '.join(_PICTURES)}")


def check_json(accept: str) -> None:
    """Raises a 406 `Refusal` unless the client takes JSON."""
    taken = ("*/*", "application/*", "application/json", "application/dicom+json")
    if not any(type_ in taken for type_, _ in _types(accept)):
        raise not_acceptable("Expected Accept: application/dicom+json")


def _types(accept: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    for part in _PARTS.split(accept or "*/*"):
        type_, *options = (each.strip() for each in part.split(";"))
        pairs = (each.partition("=") for each in options)
        found.append((type_.lower(), {n.strip().lower(): v.strip(' "') for n, _, v in pairs}))
    return found


def _syntax_of(type_: str, options: dict[str, str]) -> str:
    # Octets are pixels that need no codec, unless another syntax is asked for (PS3.18 8.7.3.5.2).
    return options.get("transfer-syntax", "" if type_ == _OCTETS else "*")


def _parts(type_: str, syntax: str) -> str:
    if syntax not in ("", "*") and not is_uid(syntax):
        raise not_acceptable("Expected transfer-syntax to be a UID or *")
    return f'multipart/related; type="{type_}"' + (f"; transfer-syntax={syntax}" if syntax else "")
