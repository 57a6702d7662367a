"""STOW-RS: an upload in the form of DICOMweb, with its answer (PS3.18 10.5)."""

from collections.abc import Iterable
from typing import Any

from fhir_server.dicomweb.places import Place
from fhir_server.uploads.report import FileReport, UploadReport

Json = dict[str, Any]

_REASONS = {
    "duplicate-uid": 0x0111,
    "other-study": 0x0110,
    "archive-away": 0x0110,
    "archive-refused": 0x0110,
    "too-large": 0xA700,
    "transfer-syntax": 0x0122,
}
_NOT_UNDERSTOOD = 0xC000
_DIFFERS = 0xB000


def answer(report: UploadReport, at: Place, base: str) -> tuple[int, Json]:
    """Status and dataset: 200 for all, 202 for some, 409 for none."""
    taken = [each for each in report.files if each.taken]
    failed = [each for each in report.files if not each.taken]
    found: Json = {}
    study = at.study or _only(each.checked.study for each in taken if each.checked)
    if study and taken:
        found["00081190"] = {"vr": "UR", "Value": [base + Place(study).path]}
    if failed:
        found["00081198"] = {"vr": "SQ", "Value": [_failed(each) for each in failed]}
    if taken:
        found["00081199"] = {"vr": "SQ", "Value": [_taken(each, base) for each in taken]}
    return (200 if not failed else 202 if taken else 409), found


def _only(values: Iterable[str]) -> str:
    """The one study of all; with several the answer names none, lest it hide the others."""
    different = set(values)
    return different.pop() if len(different) == 1 else ""


def _named(file: FileReport) -> Json:
    if file.checked is None:
        return {}
    return {
        "00081150": {"vr": "UI", "Value": [file.checked.sop_class]},
        "00081155": {"vr": "UI", "Value": [file.checked.instance]},
    }


def _taken(file: FileReport, base: str) -> Json:
    assert file.checked is not None
    at = Place(file.checked.study, file.checked.series, file.checked.instance)
    found = _named(file) | {"00081190": {"vr": "UR", "Value": [base + at.path]}}
    if file.changes or file.private_removed:
        found["00081196"] = {"vr": "US", "Value": [_DIFFERS]}
    return found


def _failed(file: FileReport) -> Json:
    reason = _REASONS.get(file.code, _NOT_UNDERSTOOD)
    text = f"{file.name} {file.reason}"[:1000]
    return _named(file) | {
        "00081197": {"vr": "US", "Value": [reason]},
        "00000902": {"vr": "LO", "Value": [text[:64]]},
    }
