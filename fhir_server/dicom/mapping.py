"""From what images say to an ImagingStudy, by the tables of `mappings/dicom/`.

R4 imagingstudy-mappings.html#dicom. What an element cannot hold is left out, and never invented:
a number that is none, a time that is none. Odd groups, which hold what only their maker knows, are
in no table.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from fhir_server.dicom import facts
from fhir_server.dicom.facts import Accession, SeriesFacts, StudyFacts, Tags
from fhir_server.dicom.uids import is_uid
from fhir_server.packaged import folder
from fhir_server.workflow.canonicals import IDENTIFIER_TYPE
from fhir_server.workflow.study_uids import SYSTEM as UID_SYSTEM
from fhir_server.workflow.study_uids import as_value

Resource = dict[str, Any]

DCM = "http://dicom.nema.org/resources/ontology/DCM"
_SNOMED = "http://snomed.info/sct"
_URI = "urn:ietf:rfc:3986"
_PERFORMER = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ZONE_TAG = "0008,0201"
_OFFSET = re.compile(r"[+-](?:0[0-9]|1[0-4])[0-5][0-9]")
_DATE = re.compile(r"[0-9]{8}")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])(?:\.[0-9]{1,6})?")
_OTHER = "OT"


class Row(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"how": "as"}):
    """An element, the tag that it comes from, and how."""

    element: str
    tag: str
    how: str
    time: str = ""


class Rows(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The elements of an ImagingStudy, of its series and of their instances."""

    study: tuple[Row, ...]
    series: tuple[Row, ...]
    instance: tuple[Row, ...]


class Code(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A code of SNOMED CT."""

    code: str
    display: str

    def coding(self) -> Resource:
        """The code as a Coding."""
        return {"system": _SNOMED, "code": self.code, "display": self.display}


class Codes(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """Codes of DICOM and what they are in FHIR."""

    acquisition_modalities: frozenset[str]
    laterality: dict[str, Code]
    body_sites: dict[str, Code]
    coding_schemes: dict[str, str]


@cache
def rows() -> Rows:
    """Which elements come from which tags. Raises ValueError for a table that is wrong."""
    found = msgspec.json.decode(_file("imaging-study.json"), type=Rows)
    for each in (*found.study, *found.series, *found.instance):
        if each.how not in _READERS:
            raise ValueError(f"imaging-study.json: {each.element}: {each.how!r} is no way to read")
    return found


@cache
def codes() -> Codes:
    """Codes of DICOM and what they are in FHIR."""
    return msgspec.json.decode(_file("codes.json"), type=Codes)


def _file(name: str) -> bytes:
    return (folder("mappings") / "dicom" / name).read_bytes()


@dataclass(frozen=True, slots=True)
class Place:
    """Where images come from. zone: of their times. accession_system: by issuer, or for none."""

    zone: ZoneInfo
    accession_system: Callable[[str], str]


def imaging_study(study: StudyFacts, place: Place) -> Resource:
    """The elements of an ImagingStudy that images themselves say.

    What they do not say is left to the caller: subject, encounter, basedOn, endpoint, status.
    """
    first = next(study.instances, {})
    series = [_series(each, place.zone) for each in study.series if is_uid(each.uid)]
    found: Resource = {
        "resourceType": "ImagingStudy",
        "id": study.uid,
        "identifier": _identifiers(study, place),
    }
    modalities = {each["modality"]["code"] for each in series}
    acquired = sorted(modalities & codes().acquisition_modalities)
    if acquired:
        found["modality"] = [_modality(each) for each in acquired]
    found |= _elements(rows().study, first, place.zone)
    found["numberOfSeries"] = len(series)
    found["numberOfInstances"] = sum(each["numberOfInstances"] for each in series)
    if series:
        found["series"] = series
    return found


def _identifiers(study: StudyFacts, place: Place) -> list[Resource]:
    found: list[Resource] = [{"system": UID_SYSTEM, "value": as_value(study.uid)}]
    type_ = {"coding": [{"system": IDENTIFIER_TYPE, "code": "ACSN"}]}
    numbers: list[Accession] = sorted({*study.accessions, *study.requested})
    for each in numbers:
        system = place.accession_system(each.issuer)
        identifier: Resource = {"type": type_, "value": clean(each.value)}
        if system:
            identifier["system"] = system
        elif each.issuer:
            identifier["assigner"] = {"display": clean(each.issuer)}
        if identifier["value"] and identifier not in found:
            found.append(identifier)
    return found


def _series(series: SeriesFacts, zone: tzinfo) -> Resource:
    first = series.instances[0]
    instances = [
        _instance(tags, zone)
        for tags in series.instances
        if is_uid(facts.text(tags, facts.INSTANCE_UID))
        and is_uid(facts.text(tags, facts.CLASS_UID))
    ]
    modality = clean(facts.text(first, facts.MODALITY)).replace(" ", "") or _OTHER
    found: Resource = {"uid": series.uid, "modality": _modality(modality)}
    found |= _elements(rows().series, first, zone)
    found["numberOfInstances"] = len(instances)
    if instances:
        found["instance"] = instances
    return found


def _instance(tags: Tags, zone: tzinfo) -> Resource:
    class_ = as_value(facts.text(tags, facts.CLASS_UID))
    return {
        "uid": facts.text(tags, facts.INSTANCE_UID),
        "sopClass": {"system": _URI, "code": class_},
    } | _elements(rows().instance, tags, zone)


def _modality(code: str) -> Resource:
    return {"system": DCM, "code": code}


def _elements(table: tuple[Row, ...], tags: Tags, zone: tzinfo) -> Resource:
    """Elements by a table; the first row of an element that gives anything gives it."""
    found: Resource = {}
    for row in table:
        if row.element not in found:
            value = _READERS[row.how](tags, row, zone)
            if value is not None:
                found[row.element] = value
    return found


def clean(given: str) -> str:
    """A text without what FHIR does not take: control characters, spaces around."""
    return "".join(each if each.isprintable() else " " for each in given).strip()


def person_name(given: str) -> str:
    """A name as people read it; only the first way of writing it (DICOM PS3.5 6.2.1)."""
    family, *others = (clean(each) for each in given.split("=")[0].split("^"))
    first, middle, prefix, suffix = (*others, "", "", "", "")[:4]
    return " ".join(filter(None, (prefix, first, middle, family, suffix)))


def _string(tags: Tags, row: Row, zone: tzinfo) -> str | None:
    return clean(facts.text(tags, row.tag)) or None


def _number(tags: Tags, row: Row, zone: tzinfo) -> int | None:
    return facts.whole_number(tags, row.tag)


def _date_time(tags: Tags, row: Row, zone: tzinfo) -> str | None:
    """A date and, if that is a whole one, its time in the zone of the images or of the house."""
    date, time = facts.text(tags, row.tag), facts.text(tags, row.time)
    if not _DATE.fullmatch(date):
        return None
    try:
        day = datetime.strptime(date, "%Y%m%d")
    except ValueError:
        return None
    match = _TIME.fullmatch(time)
    if match is None:
        return day.date().isoformat()
    moment = day.replace(hour=int(match[1]), minute=int(match[2]), second=int(match[3]))
    offset = facts.text(tags, _ZONE_TAG)
    if _OFFSET.fullmatch(offset):
        return f"{moment.isoformat()}{offset[:3]}:{offset[3:]}"
    return moment.replace(tzinfo=zone).isoformat()


def _people(tags: Tags, row: Row, zone: tzinfo) -> list[Resource] | None:
    names = map(person_name, facts.texts(tags, row.tag))
    return [{"display": name} for name in names if name] or None


def _person(tags: Tags, row: Row, zone: tzinfo) -> Resource | None:
    return next(iter(_people(tags, row, zone) or ()), None)


def _named(tags: Tags, row: Row, zone: tzinfo) -> Resource | None:
    name = _string(tags, row, zone)
    return {"display": name} if name else None


def _performers(tags: Tags, row: Row, zone: tzinfo) -> list[Resource] | None:
    function = {"coding": [{"system": _PERFORMER, "code": "PRF"}]}
    people = _people(tags, row, zone) or []
    return [{"function": function, "actor": each} for each in people] or None


def _concepts(tags: Tags, row: Row, zone: tzinfo) -> list[Resource] | None:
    """Items with a code, its scheme and its meaning (DICOM PS3.3 8.1)."""
    found = []
    for item in facts.items(tags, row.tag):
        code, scheme, meaning = (
            clean(facts.text(item, tag)) for tag in ("0008,0100", "0008,0102", "0008,0104")
        )
        system = codes().coding_schemes.get(scheme)
        concept: Resource = {"text": meaning} if meaning else {}
        if code and system and not re.search(r"\s", code):
            concept["coding"] = [{"system": system, "code": code}]
        elif code and not meaning:
            concept["text"] = f"{scheme} {code}".strip()
        if concept:
            found.append(concept)
    return found or None


def _texts(tags: Tags, row: Row, zone: tzinfo) -> list[Resource] | None:
    text = _string(tags, row, zone)
    return [{"text": text}] if text else None


def _coding(tags: Tags, row: Row, zone: tzinfo) -> Resource | None:
    """The first code of a sequence that has one which FHIR knows."""
    for concept in _concepts(tags, row, zone) or ():
        for coding in concept.get("coding", ()):
            return {**coding, "display": concept["text"]} if "text" in concept else dict(coding)
    return None


def _body_site(tags: Tags, row: Row, zone: tzinfo) -> Resource | None:
    name = _string(tags, row, zone)
    if name is None:
        return None
    known = codes().body_sites.get(name.upper())
    return known.coding() if known else {"display": name}


def _laterality(tags: Tags, row: Row, zone: tzinfo) -> Resource | None:
    known = codes().laterality.get(facts.text(tags, row.tag))
    return known.coding() if known else None


_READERS: Mapping[str, Callable[[Tags, Row, tzinfo], Any]] = MappingProxyType(
    {
        "string": _string,
        "unsignedInt": _number,
        "dateTime": _date_time,
        "person": _person,
        "people": _people,
        "named": _named,
        "performers": _performers,
        "concepts": _concepts,
        "texts": _texts,
        "coding": _coding,
        "bodySite": _body_site,
        "laterality": _laterality,
    }
)
