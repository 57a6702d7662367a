"""A scheduled order as an entry of a worklist: the values of its attributes."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server import fhirpath
from fhir_server.fhir_json import decode
from fhir_server.workflow.canonicals import structure_definition
from fhir_server.workflow.study_uids import study_uid
from fhir_server.worklist import forms
from fhir_server.worklist.mapping import Attribute, WorklistMapping, worklist_mapping
from fhir_server.worklist.reading import Found

Resource = dict[str, Any]
# By tag: texts, of which the first is given unless another one is asked for; or items of a
# sequence, each again by tag.
Values = dict[int, "tuple[str, ...] | list[Values]"]

_MODALITY = structure_definition("order-modality")
_MEDICAL_RECORD = "MR"
_KEPT = 5_000


def patient_identifier(patient: Resource) -> Resource | None:
    """Under which identifier devices know a patient: the record number, or the first in use."""
    found = [
        each
        for each in patient.get("identifier", ())
        if each.get("value") and each.get("use") not in ("old", "temp")
    ]
    records = [
        each
        for each in found
        if any(c.get("code") == _MEDICAL_RECORD for c in each.get("type", {}).get("coding", ()))
    ]
    return next(iter(records or found), None)


@dataclass(slots=True)
class Entries:
    """Makes entries, and keeps them while nothing changes that they tell of."""

    zone: ZoneInfo
    mapping: WorklistMapping = field(default_factory=worklist_mapping)
    _kept: OrderedDict[str, tuple[int, Values]] = field(default_factory=OrderedDict)
    # Each association has a thread of its own.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, steps: Iterable[Found]) -> None:
        """Have the entries of some steps before anybody asks for them."""
        for each in steps:
            self.entry(each)

    def entry(self, found: Found) -> Values:
        """The values of all attributes of a step."""
        digest = found.digest
        kept = self._kept.get(found.id)
        if kept is not None and kept[0] == digest:
            return kept[1]
        made = self._made(found)
        with self._lock:
            self._kept[found.id] = (digest, made)
            self._kept.move_to_end(found.id)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def _made(self, found: Found) -> Values:
        evaluated = _Evaluated(self._variables(found))
        return {each.tag: self._value(each, evaluated) for each in self.mapping.attributes}

    def _variables(self, found: Found) -> dict[str, Any]:
        task, order = decode(found.task), decode(found.order)
        by_type: dict[str, Resource] = {}
        for content in found.named:
            resource = decode(content)
            by_type.setdefault(resource["resourceType"], resource)
            by_type[f"{resource['resourceType']}/{resource['id']}"] = resource
        patient = by_type.get("Patient", {})
        identifier = patient_identifier(patient) or {}
        device, location = by_type.get("Device", {}), by_type.get("Location", {})
        state = task["businessStatus"]["coding"][0]["code"]
        named = {
            "task": task,
            "order": order,
            "patient": patient,
            "encounter": by_type.get("Encounter", {}),
            "location": location,
            "device": device,
            "requester": _referred(by_type, task.get("requester")),
            "performer": _referred(by_type, task.get("owner")),
        }
        return {name: value or [] for name, value in named.items()} | {
            "patientId": identifier.get("value") or patient.get("id") or [],
            "patientIssuer": identifier.get("system") or [],
            "study": study_uid(order),
            "status": self.mapping.states.get(state, ""),
            "modalities": list(self._modalities(order)),
            "stations": [
                each["value"]
                for resource in (device, location)
                for each in resource.get("identifier", ())
                if each.get("system") == self.mapping.ae_title_system and each.get("value")
            ],
        }

    def _modalities(self, order: Resource) -> Sequence[str]:
        for each in order.get("extension", ()):
            if each.get("url") == _MODALITY:
                code = each.get("valueCoding", {}).get("code", "")
                return self.mapping.modalities.get(code, [code])
        return []

    def _value(
        self, attribute: Attribute, evaluated: "_Evaluated"
    ) -> "tuple[str, ...] | list[Values]":
        if attribute.form == "codes":
            assert attribute.source is not None
            codings = evaluated.of(attribute.source)
            items = forms.codes(codings, self.mapping.designators)
            return [_item(each) for each in items]
        if attribute.source is None:
            item = {each.tag: self._value(each, evaluated) for each in attribute.items}
            return [item] if any(item.values()) else []
        found = evaluated.of(attribute.source)
        return tuple(filter(None, self._texts(attribute, found)))

    def _texts(self, attribute: Attribute, found: Sequence[Any]) -> list[str]:
        form, vr = attribute.form, attribute.vr
        if form == "person":
            return [forms.person(found)]
        if form == "date":
            return [forms.date(str(each), self.zone) for each in found]
        if form == "time":
            return [forms.time(str(each), self.zone) for each in found]
        if form == "lines":
            return [forms.text("\n".join(map(str, found)), vr)] if found else []
        if attribute.table is not None:
            found = [attribute.table.get(str(each), "") for each in found]
        return [forms.text(str(each), vr) for each in found]


class _Evaluated:
    """What expressions give for one step; several attributes have the same one."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._known: dict[fhirpath.Compiled, Sequence[Any]] = {}

    def of(self, source: fhirpath.Compiled) -> Sequence[Any]:
        """The values of an expression."""
        found = self._known.get(source)
        if found is None:
            found = source.evaluate(self._variables["order"], variables=self._variables)
            self._known[source] = found
        return found


def _referred(by_type: Mapping[str, Resource], reference: Any) -> Resource:
    return by_type.get((reference or {}).get("reference", ""), {})


def _item(texts: Mapping[str, str]) -> Values:
    from pydicom.datadict import tag_for_keyword

    return {tag_for_keyword(keyword) or 0: (text,) for keyword, text in texts.items()}
