"""What a client takes back, said to the archive in words that are ours (PS3.18 8.7.4)."""

import re

from fhir_server.dicom.uids import is_uid
from fhir_server.outcome import Issue, Refusal

_PARTS = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
_FRAME_TYPES = frozenset(
    {"application/octet-stream", "image/jpeg", "image/jls", "image/jp2", "image/jpx",
     "image/dicom-rle", "image/x-dicom-rle", "image/jphc"}
)  # fmt: skip
_PICTURES = ("image/jpeg", "image/png")


def not_acceptable(text: str) -> Refusal:
    """Nothing that the client takes can be given: 406."""
    return Refusal(Issue("not-supported", text), status=406)


def frames(accept: str) -> str:
    """The Accept header for frames or bulk data. Raises a 406 `Refusal`."""
    for type_, options in _types(accept):
        if type_ in ("*/*", "multipart/*", "application/octet-stream"):
            return 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
        inner = options.get("type", "application/octet-stream")
        if type_ == "multipart/related" and (inner in _FRAME_TYPES or inner == "*/*"):
            inner = "application/octet-stream" if inner == "*/*" else inner
            return f'multipart/related; type="{inner}"{_syntax(options)}'
    raise not_acceptable("Expected Accept: multipart/related; type=application/octet-stream")


def instances(accept: str) -> str:
    """The Accept header for whole files. Raises a 406 `Refusal`."""
    for type_, options in _types(accept):
        if type_ in ("*/*", "multipart/*"):
            return 'multipart/related; type="application/dicom"; transfer-syntax=*'
        if type_ == "multipart/related" and options.get("type", "*/*") in (
            "application/dicom",
            "*/*",
        ):
            return f'multipart/related; type="application/dicom"{_syntax(options)}'
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


def _syntax(options: dict[str, str]) -> str:
    syntax = options.get("transfer-syntax", "*")
    if syntax != "*" and not is_uid(syntax):
        raise not_acceptable("Expected transfer-syntax to be a UID or *")
    return f"; transfer-syntax={syntax}"
