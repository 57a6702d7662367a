"""What of an order stands in which attribute of a worklist: `mappings/dicom/worklist.json`."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from fhir_server import fhirpath
from fhir_server.packaged import folder

_FORMATS = ("text", "date", "time", "person", "codes", "lines")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a worklist.

    source: FHIRPath that gives its values; None for a sequence of one item, or an empty one.
    form: how values become DICOM. table: codes of FHIR as codes of DICOM.
    any: each of its values is right, so that the one that is asked for is given.
    open: without a value, whatever is asked for is right.
    """

    tag: int
    vr: str
    keyword: str
    source: fhirpath.Compiled | None
    form: str
    table: Mapping[str, str] | None
    any: bool
    open: bool
    items: Sequence["Attribute"]


@dataclass(frozen=True, slots=True)
class WorklistMapping:
    """Everything that the file says.

    states: of orders on the worklist, and how DICOM calls them. modalities: of DICOM, by those
    that can be ordered. designators: coding schemes of DICOM by code systems.
    """

    states: Mapping[str, str]
    ae_title_system: str
    designators: Mapping[str, str]
    attributes: Sequence[Attribute]
    modalities: Mapping[str, Sequence[str]]

    def ordered_as(self, modality: str) -> list[str]:
        """Which modalities can be ordered that have images of a modality of DICOM."""
        return [code for code, found in self.modalities.items() if modality in found]


@functools.cache
def worklist_mapping() -> WorklistMapping:
    """The mapping that comes with the server. Raises ValueError for what is wrong in it."""
    data = json.loads((folder("mappings") / "dicom" / "worklist.json").read_text())
    tables = data["tables"]
    return WorklistMapping(
        data["states"],
        data["ae_title_system"],
        data["designators"],
        [_attribute(each, tables) for each in data["attributes"]],
        _modalities(),
    )


def _attribute(data: Mapping[str, Any], tables: Mapping[str, Mapping[str, str]]) -> Attribute:
    keyword = data["keyword"]
    tag = tag_for_keyword(keyword)
    form = data.get("as", "text")
    if tag is None or form not in _FORMATS:
        raise ValueError(f"worklist.json: {keyword} as {form} is not known")
    return Attribute(
        tag,
        dictionary_VR(tag),
        keyword,
        _compiled(data["from"]) if "from" in data else None,
        form,
        tables[data["table"]] if "table" in data else None,
        data.get("any", False),
        data.get("open", False),
        [_attribute(each, tables) for each in data.get("items", ())],
    )


@functools.cache
def _compiled(source: str) -> fhirpath.Compiled:
    """The same object for the same text."""
    return fhirpath.compile(source)


def _modalities() -> dict[str, list[str]]:
    path = folder("profiles") / "terminology" / "codesystem-modality.json"
    return {
        concept["code"]: [
            each["valueCoding"]["code"] for each in concept["property"] if each["code"] == "dicom"
        ]
        for concept in json.loads(path.read_text())["concept"]
    }
