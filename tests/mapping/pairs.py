"""Published pairs of a message and its FHIR resources, beside what our rules make of the message.

`python -m tests.mapping.pairs FOLDER` prints the table of `docs/hl7v2-coverage.md`.
"""

import functools
import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir_server import fhir_json
from fhir_server.hl7v2 import read_payload
from fhir_server.mapping.convert import Mapper
from fhir_server.packaged import folder as packaged

Fact = tuple[str, str]

# What the pairs of a folder are about: elements, as the paths of facts begin.
TOPICS: dict[str, tuple[str, ...]] = {
    "aui": ("Coverage",),
    "ce": ("Observation.code", "Observation.valueCodeableConcept", "ServiceRequest.code"),
    "cnn": ("Practitioner",),
    "cp": ("Observation.value",),
    "cq": ("Specimen.collection.quantity",),
    "cwe": ("Observation", "ServiceRequest", "DiagnosticReport.code", "Specimen"),
    "cx": ("ServiceRequest.identifier", "Patient.identifier"),
    "dld": ("Location", "Encounter"),
    "dr": ("RelatedPerson.address.period",),
    "dt": ("RelatedPerson.period", "Patient.birthDate", "Observation.valueDateTime"),
    "dtm": ("Patient", "Observation", "DiagnosticReport", "ServiceRequest"),
    "ei": ("Device", "Observation.identifier", "ServiceRequest.identifier", "Condition"),
    "eip": ("Specimen.identifier",),
    "hd": ("Organization", "Location", "MessageHeader"),
    "id": ("Encounter",),
    "in1": ("Coverage",),
    "msg": ("MessageHeader.event",),
    "msh": ("MessageHeader", "Organization", "Device"),
    "ndl": ("PractitionerRole", "Practitioner", "Location"),
    "nk1": ("RelatedPerson",),
    "nm": ("Encounter.length",),
    "nte": ("Observation.note", "ServiceRequest.note"),
    "obx": ("Observation",),
    "omlo21": ("Patient", "Encounter", "ServiceRequest", "Observation", "Specimen"),
    "orcobr": ("ServiceRequest", "DiagnosticReport", "Specimen"),
    "ormo01": ("Patient", "Encounter", "ServiceRequest", "Observation"),
    "orur01": ("Patient", "Encounter", "DiagnosticReport", "Observation", "Specimen"),
    "pd1": ("Patient",),
    "pid": ("Patient",),
    "pl": ("Location",),
    "prt": ("Device",),
    "pt": ("MessageHeader.meta",),
    "pv1pv2": ("Encounter",),
    "spm": ("Specimen",),
    "xad": ("RelatedPerson.address", "Patient.address"),
    "xcn": ("Practitioner",),
    "xon": ("Organization",),
    "xpn": ("Patient.name",),
    "xtn": ("Patient.telecom", "Organization.telecom", "RelatedPerson.telecom"),
}

# Facts of the pairs that are the publisher's own way, of its run, or of its bundle.
_OWN = ("reportstream.cdc.gov", "lastUpdated")
_SKIPPED = re.compile(
    r".*\.(id|reference|lastUpdated|fullUrl|div|versionId)|.*\._.*|.*\.meta\.tag.*display"
)
# Who made the pairs, named in each of them.
_PUBLISHER = ("CDC PRIME - Atlanta", "2.16.840.1.114222.4.1.237821")
_ZONE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?)(Z|[+-]\d\d:\d\d)")


@dataclass
class Agreement:
    """How far one folder's pairs agree: facts expected, those found, and those that differ."""

    pairs: int = 0
    expected: int = 0
    found: int = 0
    missing: Counter[Fact] = field(default_factory=Counter)


def facts(value: Any, path: str) -> Iterator[Fact]:
    """The leaves of a resource: the path without numbers, and the text."""
    if isinstance(value, dict):
        url = str(value.get("url", ""))
        if any(own in url for own in _OWN):
            return
        for name, inner in value.items():
            if name == "contained":
                for each in inner:
                    yield from facts(each, each["resourceType"])
            elif name != "resourceType":
                yield from facts(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for each in value:
            yield from facts(each, path)
    elif not _SKIPPED.fullmatch(path) and value not in _PUBLISHER:
        text = str(value)
        yield path, _ZONE.sub(r"\1", text)


# The publisher makes a request of each result too, as the overlay of the same name does in
# `docs/hl7v2.md`; so that what the pairs are about can be compared at all.
REQUESTS_OF_RESULTS = """
overlay: {when: {message: ORU^*}}
messages:
  ORU_R01:
    resources:
      - {use: header}
      - {use: patient}
      - {use: encounter}
      - {use: related-person}
      - {use: specimen}
      - {use: specimen-of-order}
      - {use: order, mode: create}
      - {use: report}
      - {use: observation}
"""


@functools.cache
def mapper() -> Mapper:
    """The rules that come with the server, under that overlay."""
    with tempfile.TemporaryDirectory() as copy:
        rules = Path(copy) / "mappings"
        shutil.copytree(packaged("mappings"), rules)
        (rules / "overlays").mkdir(exist_ok=True)
        (rules / "overlays" / "requests.yaml").write_text(REQUESTS_OF_RESULTS, encoding="utf-8")
        made = Mapper(rules)
        made.check()
    return made


def compared(message: Path, expected: Path) -> Iterator[tuple[Fact, bool]]:
    """Each fact that a pair is about, and whether ours has it."""
    topics = TOPICS[message.relative_to(folder_of(message)).parts[0]]
    bundle = json.loads(expected.read_text(encoding="utf-8"), parse_float=str, parse_int=str)
    wanted = dict.fromkeys(f for each in bundle["entry"] for f in _of(each["resource"]))
    (parsed,) = read_payload(message.read_bytes()).messages
    mapped = mapper().convert(parsed)
    ours = [each.resource for each in mapped.entries] + ([mapped.header] if mapped.header else [])
    plain = json.loads(fhir_json.encode(ours), parse_float=str, parse_int=str)
    made = {f for each in plain for f in _of(each)}
    for fact in wanted:
        if any(fact[0] == t or fact[0].startswith((f"{t}.", t)) for t in topics):
            yield fact, fact in made


def _of(resource: Any) -> Iterator[Fact]:
    yield from facts(resource, resource["resourceType"])


def folder_of(path: Path) -> Path:
    """The folder that has one folder for each subject."""
    return next(each for each in path.parents if each.name == "catchall")


def agreement(folder: Path) -> dict[str, Agreement]:
    """How far the pairs agree, by folder."""
    found: dict[str, Agreement] = {}
    for message in sorted(folder.rglob("*.hl7")):
        expected = message.with_suffix(".fhir")
        if not expected.is_file():
            continue
        name = message.relative_to(folder_of(message)).parts[0]
        of = found.setdefault(name, Agreement())
        of.pairs += 1
        for fact, is_there in compared(message, expected):
            of.expected += 1
            of.found += is_there
            if not is_there:
                of.missing[fact] += 1
    return found


# Why ours differs, by folder.
REASONS = {
    "ce": "a coding system that is not known is `urn:x-hl7v2:coding:…`, not a page of HL7's",
    "cq": "the unit is the unit's name (CWE.2), not the original text",
    "cwe": "an order is active, not unknown; a note of a CWE is its code and text, not each part",
    "cx": "`testcx42` is no OID or UUID, and a namespace alone is no URI",
    "dtm": "an order is active, not unknown; an instant has a day and a time, so a year is none",
    "ei": "OBX-18 is an identifier of the device, which need not be a UDI",
    "hd": "an OID with the system `urn:ietf:rfc:3986` is `urn:oid:…`; a Location of OBX-23 and a "
    "contact of NK1-13 are not made",
    "id": "PV2-22 says restricted (`R`) or nothing; `F` and `true` are no confidentiality",
    "in1": "R4 has `subscriberId`; the extension is for R5's identifier",
    "nm": "the system of UCUM has no slash at its end",
    "pd1": "a name and a number of a place of worship are one text",
    "xad": "the census tract's extension has a string in R4",
    "msg": "a part that is empty is left out of the display",
    "msh": "endpoints are URIs; as hd; organizations without a number are told apart by no type; "
    "MSH-8 is free text; the country is not the sender's address",
    "ndl": "one Location with all parts instead of six",
    "nk1": "as ce",
    "nte": "the note is the report's or the order's own, not each other's",
    "obx": "without OBX-11 the report's status counts; R4's `time` has colons; as ce; "
    "an unfilled value is `not-performed`; a value that cannot be read stays as it was",
    "omlo21": "NK1 is a RelatedPerson, not a contact; the order is active; as orcobr",
    "orcobr": "the order is active, not unknown; the placer's group is the requisition; ORC counts "
    "before OBR and is the only one; OBR-15 to the specimen only where SPM is not there",
    "ormo01": "as omlo21",
    "orur01": "as cx; as orcobr; a specimen by SPM",
    "pid": "as cx; race is US Core's extension; PID-6 is R4's mothersMaidenName, a text; "
    "PID-18 makes no link to another patient",
    "pl": "one Location with all parts as identifier and name, instead of six in a chain",
    "prt": "PRT is not mapped",
    "pv1pv2": "as cx; no extension for a temporary location; as id; "
    "the system of UCUM has no slash at its end",
    "spm": "as eip, with the sender's own authority",
    "xcn": "as cx",
    "xon": "as hd",
    "xtn": "a rank is a positive number",
}


def table(found: dict[str, Agreement]) -> list[str]:
    """The lines of the table in `docs/hl7v2-coverage.md`."""
    lines = []
    for name, of in sorted(found.items()):
        reason = REASONS.get(name, "?") if of.found < of.expected else ""
        lines.append(f"| {name} | {of.pairs} | {of.expected} | {of.found} | {reason} |")
    total = [sum(getattr(o, n) for o in found.values()) for n in ("pairs", "expected", "found")]
    lines.append(f"| **all** | {total[0]} | {total[1]} | {total[2]} | |")
    return lines


def main() -> None:
    """Print the table, and with `-v` what differs."""
    found = agreement(Path(sys.argv[1]))
    sys.stdout.write("\n".join([*table(found), ""]))
    for name, of in sorted(found.items()) if "-v" in sys.argv else ():
        for (path, text), count in of.missing.most_common():
            sys.stdout.write(f"{name} {count:4} {path} {text}\n")


if __name__ == "__main__":
    main()
