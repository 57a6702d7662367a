"""Tags of DICOM files in memory, for those who look at a file or change it without storing it."""

import base64
import tempfile
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement

from fhir_server.outcome import Invalid, Issue
from fhir_server.uploads.checking import check, read_header
from fhir_server.uploads.correcting import FIXED, Correction, correct
from fhir_server.uploads.spool import Unusable

Json = dict[str, Any]

# Values that are longer, or no text, are told by their length.
_LONGEST_VALUE = 1_000
_BYTES = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "UN"})
_TEXTS = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI",
     "UR", "UT"}
)  # fmt: skip


def correction(tags: list[Any], *, without_private: bool) -> Correction:
    """What parts of a call ask for. Raises `Invalid`, 422."""
    found = {}
    for each in tags:
        keyword, value = each["name"][0], (each.get("value") or [""])[0]
        tag = tag_for_keyword(keyword)
        if tag is None or dictionary_VR(tag) not in _TEXTS:
            raise Invalid(
                Issue("value", f"{keyword!r}: expected the keyword of a tag with text"), status=422
            )
        if keyword in FIXED:
            text = f"{keyword} says which object a file is and cannot be modified"
            raise Invalid(Issue("business-rule", text), status=422)
        found[keyword] = value
    if not found and not without_private:
        raise Invalid(Issue("required", "Expected a tag to modify, or remove-private"), status=422)
    return Correction(found, without_private)


def read(content: bytes, *, private: bool) -> list[Json]:
    """What a file says, as parts of a Parameters resource. Raises `Invalid`, 422."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        acceptable, reason = True, ""
        try:
            check(path)
        except Unusable as unusable:
            acceptable, reason = False, f"{unusable.code}: {unusable}"
            if unusable.code in ("not-dicom", "not-readable"):
                raise Invalid(Issue("value", f"The file {unusable}"), status=422) from None
        found = read_header(path)
        elements = [*found.file_meta, *(found[tag] for tag in found.keys())]  # noqa: SIM118
        shown = [_part(each) for each in elements if private or not each.tag.is_private]
    parts: list[Json] = [{"name": "acceptable", "valueBoolean": acceptable}]
    if reason:
        parts.append({"name": "reason", "valueString": reason})
    return parts + shown


def _part(element: DataElement) -> Json:
    parts: list[Json] = [
        {"name": "tag", "valueString": f"{element.tag.group:04X}{element.tag.element:04X}"},
        {"name": "vr", "valueString": element.VR},
    ]
    if dictionary_has_tag(element.tag) and element.keyword:
        parts.append({"name": "name", "valueString": element.keyword})
    if element.VR == "SQ":
        items = [
            {"name": "item", "part": [_part(each) for each in item]} for item in element.value or ()
        ]
        return {"name": "tag", "part": parts + [each for each in items if each["part"]]}
    value = element.value
    if element.VR in _BYTES:
        parts.append({"name": "length", "valueInteger": len(value or b"")})
    elif text := "\\".join(map(str, value)) if element.VM > 1 else str(value or "").strip():
        if len(text) <= _LONGEST_VALUE:
            parts.append({"name": "value", "valueString": text})
        else:
            parts.append({"name": "length", "valueInteger": len(text)})
    return {"name": "tag", "part": parts}


def modified(content: bytes, asked: Correction) -> list[Json]:
    """A file with other tags, as parts of a Parameters resource. Raises `Invalid`, 422."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        source.write_bytes(content)
        try:
            check(source)
            corrected = correct(source, target, asked)
            check(target)
        except Unusable as unusable:
            issue = Issue("value", f"The file {unusable}")
            raise Invalid(issue, status=422) from None
        file = base64.b64encode(target.read_bytes()).decode()
    changes: list[Json] = [
        {"name": "modified", "part": [
            {"name": "name", "valueString": name},
            *([{"name": "before", "valueString": before}] if before.strip() else []),
            *([{"name": "after", "valueString": after}] if after.strip() else []),
        ]}
        for name, (before, after) in corrected.changes.items()
    ]  # fmt: skip
    if corrected.private_removed:
        changes.append({"name": "private-removed", "valueInteger": corrected.private_removed})
    return [{"name": "file", "valueBase64Binary": file}, *changes]
