"""What an ImagingStudy tells of its link to orders: references, the decision, and a tag."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhir_server.dicom.matching import BY_PERSON, Match
from fhir_server.storage.archive import CONFLICT, LINKED, UNMATCHED
from fhir_server.workflow.canonicals import BASE, structure_definition

Resource = dict[str, Any]

MATCH_TAG = f"{BASE}/CodeSystem/imaging-match"
DECISION = structure_definition("imaging-match")

# What is searched for by the tag; a study that is linked has none.
_TAGGED = {UNMATCHED: "unmatched", CONFLICT: "conflict"}


def orders_of(study: Mapping[str, Any]) -> list[str]:
    """References to the orders that a study is linked to."""
    return [each["reference"] for each in study.get("basedOn", ()) if "reference" in each]


def rule_of(study: Mapping[str, Any]) -> str:
    """By which rule a study is linked, or was unlinked; empty if nothing was decided."""
    return next(iter(_parts(study, "rule")), "")


def refused_of(study: Mapping[str, Any]) -> list[str]:
    """References to the orders that a person said a study is not for."""
    return [each["reference"] for each in _parts(study, "refused")]


def decided_by_person(study: Mapping[str, Any]) -> bool:
    """Whether a person decided, so that no rule may."""
    return rule_of(study) == BY_PERSON


def _parts(study: Mapping[str, Any], url: str) -> list[Any]:
    return [
        value
        for extension in study.get("extension", ())
        if extension.get("url") == DECISION
        for part in extension.get("extension", ())
        if part.get("url") == url
        for name, value in part.items()
        if name.startswith("value")
    ]


def linked(study: Resource, orders: Iterable[Resource], match: Match) -> Resource:
    """A study that is linked to orders; its patient and encounter are theirs."""
    found = list(orders)
    study = _decided(study, match)
    study["basedOn"] = [_order_reference(order) for order in found]
    study["subject"] = {"reference": found[0]["subject"]["reference"]}
    encounters = {order.get("encounter", {}).get("reference") for order in found}
    study.pop("encounter", None)
    if len(encounters) == 1 and (encounter := encounters.pop()):
        study["encounter"] = {"reference": encounter}
    return study


def _order_reference(order: Resource) -> Resource:
    """An order by reference and, for those who read without it, by its accession number."""
    found = {"reference": f"ServiceRequest/{order['id']}"}
    for each in order.get("identifier", ()):
        codings = each.get("type", {}).get("coding", ())
        if any(coding.get("code") == "ACSN" for coding in codings):
            return found | {"identifier": each}
    return found


def apart(
    study: Resource, subject: Resource, match: Match, refused: Sequence[str] = ()
) -> Resource:
    """A study that is linked to no order."""
    study = _decided(study, match, refused)
    study.pop("basedOn", None)
    study.pop("encounter", None)
    study["subject"] = subject
    return study


def kept(study: Resource, before: Mapping[str, Any]) -> Resource:
    """A study whose link stays as it was."""
    names = ("basedOn", "subject", "encounter", "extension")
    found = {name: value for name, value in study.items() if name not in names}
    found |= {name: before[name] for name in names if name in before}
    tags = [each for each in _tags(before) if each.get("system") == MATCH_TAG]
    others = [each for each in _tags(study) if each.get("system") != MATCH_TAG]
    return _with_tags(found, [*others, *tags])


def _decided(study: Resource, match: Match, refused: Sequence[str] = ()) -> Resource:
    others = [each for each in study.get("extension", ()) if each.get("url") != DECISION]
    parts: list[Resource] = []
    if match.rule:
        parts.append({"url": "rule", "valueCode": match.rule})
    if match.reason:
        parts.append({"url": "reason", "valueCode": match.reason})
    if match.evidence:
        parts.append({"url": "evidence", "valueString": match.evidence})
    parts += [{"url": "warning", "valueString": each} for each in match.warnings]
    parts += [{"url": "refused", "valueReference": {"reference": each}} for each in refused]
    study = study | {"extension": [*others, {"url": DECISION, "extension": parts}]}
    tags = [each for each in _tags(study) if each.get("system") != MATCH_TAG]
    if code := _TAGGED.get(match.state):
        tags.append({"system": MATCH_TAG, "code": code})
    return _with_tags(study, tags)


def _tags(study: Mapping[str, Any]) -> list[Resource]:
    return list(study.get("meta", {}).get("tag", ()))


def _with_tags(study: Resource, tags: list[Resource]) -> Resource:
    meta = {name: value for name, value in study.get("meta", {}).items() if name != "tag"}
    if tags:
        meta["tag"] = tags
    found = {name: value for name, value in study.items() if name != "meta"}
    return found | ({"meta": meta} if meta else {})


def state_of(study: Mapping[str, Any]) -> str:
    """Whether a study is linked, unmatched or in conflict, as it tells itself."""
    for tag in _tags(study):
        for state, code in _TAGGED.items():
            if (tag.get("system"), tag.get("code")) == (MATCH_TAG, code):
                return state
    return LINKED
