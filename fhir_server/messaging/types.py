"""FHIR elements as HL7 v2 data types."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.hl7v2.segment import Part
from fhir_server.mapping.authorities import UNKNOWN

Json = Mapping[str, Any]
Made = str | tuple[Part, ...]

_V2_SYSTEM = re.compile(r"http://terminology\.hl7\.org/CodeSystem/v2-(\d{4})")
_TIME = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?)?)?"
)
_MODALITY = "https://fhir-server.example/r4/StructureDefinition/order-modality"
_ORDER_TYPE = "https://fhir-server.example/r4/CodeSystem/order-type"
# The system of ids of resources that have no identifiers.
RESOURCE_ID = "https://fhir-server.example/r4/resource-id"
_USES = {"home": "PRN", "work": "WPN", "temp": "VHN", "mobile": "PRN"}
_EQUIPMENT = {"phone": "PH", "fax": "FX", "email": "Internet", "pager": "BP", "sms": "CP"}
_NAME_TYPES = {"official": "L", "usual": "D", "maiden": "M", "nickname": "N", "anonymous": "S",
               "temp": "T", "old": "R"}  # fmt: skip
_ADDRESS_TYPES = {"home": "H", "work": "B", "temp": "C", "old": "BA", "billing": "BI"}
_PRIORITIES = {"routine": "R", "urgent": "A", "asap": "A", "stat": "S"}


@dataclass(frozen=True, slots=True)
class Names:
    """What v2 calls authorities and coding systems, by URI, and sections by what is asked for."""

    authorities: Mapping[str, str]
    systems: Mapping[str, str]
    sections: Mapping[str, str]

    def authority(self, system: str) -> tuple[str, str, str]:
        """An HD: namespace, universal id and its type."""
        if known := self.authorities.get(system):
            return known, "", ""
        if system.startswith("urn:oid:"):
            return "", system.removeprefix("urn:oid:"), "ISO"
        if system.startswith("urn:uuid:"):
            return "", system.removeprefix("urn:uuid:"), "UUID"
        if system.startswith(f"{UNKNOWN}:"):
            return system.rpartition(":")[2], "", ""
        return ("", system, "URI") if system else ("", "", "")

    def coding_system(self, system: str) -> str:
        """The name of a coding system (HL7 v2 table 0396)."""
        if known := self.systems.get(system):
            return known
        if match := _V2_SYSTEM.fullmatch(system):
            return f"HL7{match[1]}"
        if system.startswith("urn:oid:"):
            return system.removeprefix("urn:oid:")
        return system.removeprefix(f"{UNKNOWN}:coding:")


def _ei(value: Json, names: Names) -> Made:
    return (str(value.get("value", "")), *names.authority(value.get("system", "")))


def _cx(value: Json, names: Names) -> Made:
    if "resourceType" in value:
        value = {"value": value["id"], "system": RESOURCE_ID, "type": {"coding": [{"code": "PI"}]}}
    codings = value.get("type", {}).get("coding", ())
    type_ = next((each.get("code", "") for each in codings), "")
    authority = names.authority(value.get("system", ""))
    return (str(value.get("value", "")), "", "", authority, type_)


def _eip(value: Json, names: Names) -> Made:
    return ((str(value.get("value", "")), *names.authority(value.get("system", ""))),)


def _uid(value: Json, names: Names) -> Made:
    uid = str(value.get("value", "")).removeprefix("urn:oid:")
    return (uid, "", uid, "ISO") if uid else ""


def _xpn(value: Json, names: Names) -> Made:
    given = [each for each in value.get("given", []) if each]
    return (
        value.get("family", value.get("text", "") if not given else ""),
        given[0] if given else "",
        " ".join(given[1:]),
        " ".join(value.get("suffix", ())),
        " ".join(value.get("prefix", ())),
        "",
        _NAME_TYPES.get(value.get("use", ""), ""),
    )


def _xad(value: Json, names: Names) -> Made:
    lines = value.get("line", [])
    return (
        lines[0] if lines else "",
        " ".join(lines[1:]),
        value.get("city", ""),
        value.get("state", ""),
        value.get("postalCode", ""),
        value.get("country", ""),
        _ADDRESS_TYPES.get(value.get("use", ""), ""),
    )


def _xtn(value: Json, names: Names) -> Made:
    text, system = value.get("value", ""), value.get("system", "phone")
    use = "NET" if system == "email" else _USES.get(value.get("use", ""), "")
    equipment = "CP" if value.get("use") == "mobile" else _EQUIPMENT.get(system, "")
    return ("" if system == "email" else text, use, equipment, text if system == "email" else "")


def _xcn(value: Json, names: Names) -> Made:
    """A practitioner."""
    identifier: Json = next(iter(value.get("identifier", ())), {})
    name: Json = next(iter(value.get("name", ())), {})
    given = [each for each in name.get("given", []) if each]
    authority = names.authority(identifier.get("system", ""))
    return (
        str(identifier.get("value", value.get("id", ""))),
        name.get("family", name.get("text", "")),
        given[0] if given else "",
        " ".join(given[1:]),
        "",
        " ".join(name.get("prefix", ())),
        "",
        "",
        authority,
    )


def _cwe(value: Json, names: Names) -> Made:
    parts: list[str] = []
    for coding in list(value.get("coding", ()))[:2]:
        parts += _coded(coding, names)
    if not parts:
        return ("", value.get("text", ""))
    if len(parts) == 3:
        parts += ["", "", ""]
    text = value.get("text", "")
    shown = {each.get("display") for each in value.get("coding", ())}
    return (*parts, "", "", text if text not in shown else "")


def _coded(coding: Json, names: Names) -> list[str]:
    system = names.coding_system(coding.get("system", ""))
    return [coding.get("code", ""), coding.get("display", ""), system]


def _coding(value: Json, names: Names) -> Made:
    return tuple(_coded(value, names))


def _ts(value: Any, names: Names) -> Made:
    match = _TIME.match(str(value))
    if match is None:
        return ""
    *parts, offset = match.groups()
    digits = "".join(each or "" for each in parts)
    if offset:
        return digits + ("+0000" if offset == "Z" else offset.replace(":", ""))
    return digits


def _tq(value: Json, names: Names) -> Made:
    """Quantity and timing of an order: when it is wanted, and how soon."""
    when = value.get("occurrenceDateTime") or value.get("occurrencePeriod", {}).get("start", "")
    priority = _PRIORITIES.get(value.get("priority", "routine"), "R")
    return ("", "", "", str(_ts(when, names)) if when else "", "", priority)


def _section(value: Json, names: Names) -> Made:
    """The diagnostic section that an order is for: by its modality, else by its type."""
    for extension in value.get("extension", ()):
        if extension.get("url") == _MODALITY:
            return names.sections.get(extension.get("valueCoding", {}).get("code", ""), "RAD")
    for concept in value.get("category", ()):
        for coding in concept.get("coding", ()):
            if coding.get("system") == _ORDER_TYPE:
                return names.sections.get(coding.get("code", ""), "")
    return ""


def _body_site(value: Json, names: Names) -> Made:
    """A specimen source that says nothing but the body site."""
    coding: Json = next(iter(value.get("coding", ())), {})
    return ("", "", "", tuple(_coded(coding, names)))


def _reason(value: Any, names: Names) -> Made:
    return ("", str(value)) if value else ""


_VALUE_TYPES = {
    "valueQuantity": "NM", "valueInteger": "NM", "valueString": "ST", "valueBoolean": "ST",
    "valueCodeableConcept": "CWE", "valueDateTime": "TS", "valueTime": "TM", "valueRange": "SN",
    "valueRatio": "SN", "valuePeriod": "DR",
}  # fmt: skip


def _value_type(observation: Json, names: Names) -> Made:
    name = next((each for each in observation if each in _VALUE_TYPES), "")
    if name == "valueQuantity" and observation[name].get("comparator"):
        return "SN"
    return _VALUE_TYPES.get(name, "")


def _value(observation: Json, names: Names) -> Made:
    name = next((each for each in observation if each in _VALUE_TYPES), "")
    given: Any = observation.get(name)
    match name:
        case "":
            return ""
        case "valueQuantity":
            number = str(given.get("value", ""))
            return (given["comparator"], number) if given.get("comparator") else number
        case "valueCodeableConcept":
            return _cwe(given, names)
        case "valueDateTime":
            return _ts(given, names)
        case "valueTime":
            return str(given).replace(":", "")
        case "valueRange":
            low, high = (str(given.get(e, {}).get("value", "")) for e in ("low", "high"))
            return ("", low, "-", high)
        case "valueRatio":
            parts = (str(given.get(e, {}).get("value", "")) for e in ("numerator", "denominator"))
            first, second = parts
            return ("", first, ":", second)
        case "valuePeriod":
            start, end = (str(_ts(given.get(each, ""), names)) for each in ("start", "end"))
            return (start, end)
        case "valueBoolean":
            return "Y" if given else "N"
    return str(given)


def _unit(quantity: Json, names: Names) -> Made:
    code = quantity.get("code") or quantity.get("unit", "")
    shown = quantity.get("unit", "")
    system = names.coding_system(quantity.get("system", ""))
    return (code, shown if shown != code else "", system)


def _range(value: Json, names: Names) -> Made:
    if value.get("text"):
        return str(value["text"])
    low, high = (value.get(each, {}).get("value") for each in ("low", "high"))
    if low is not None and high is not None:
        return f"{low}-{high}"
    if low is not None:
        return f">={low}"
    return f"<={high}" if high is not None else ""


TYPES: Mapping[str, Callable[[Any, Names], Made]] = {
    "BODYSITE": _body_site, "CODING": _coding, "CWE": _cwe, "CX": _cx, "EI": _ei, "EIP": _eip,
    "RANGE": _range, "REASON": _reason, "SECTION": _section, "TQ": _tq, "TS": _ts, "UID": _uid,
    "UNIT": _unit, "VALUE": _value, "VALUE-TYPE": _value_type, "XAD": _xad, "XCN": _xcn,
    "XPN": _xpn, "XTN": _xtn,
}  # fmt: skip
