"""From what a message means to what is to be stored, given what is stored already.

Pure: `wanted` says what to look up, `settle` takes what was found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fhir_server.mapping.convert import Mapped
from fhir_server.mapping.entries import Entry, Resource
from fhir_server.mapping.merging import is_older, merged
from fhir_server.mapping.scope import MappingIssue

# What a merge says whenever it comes.
_TIED = ("resourceType", "identifier", "link")

# A type and `system|value`.
Wanted = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of one resource of a message.

    old: what is stored; None if it is new. new: what is to be stored; None if nothing changes.
    """

    entry: Entry
    type: str
    id: str
    old: Resource | None
    new: Resource | None


@dataclass(slots=True)
class Plan:
    """What a message changes.

    resources: each resource of the message, in order; those first that others refer to.
    ids: `Type/id` by the URLs of the message's entries. order_ids: for the steps of the message,
    in order, the id of the ServiceRequest that is meant; None for one that is not known.
    times: by type and id, when what the message tells of a resource was recorded.
    issues: what was met on the way, beside those of the mapping.
    """

    resources: list[Settled] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    order_ids: list[str | None] = field(default_factory=list)
    times: dict[tuple[str, str], datetime] = field(default_factory=dict)
    issues: list[MappingIssue] = field(default_factory=list)


def wanted(mapped: Mapped) -> list[Wanted]:
    """Everything to look up by identifier, each once."""
    found: dict[Wanted, None] = {}
    for entry in mapped.entries:
        found.update(((entry.type, token), None) for token in entry.tokens)
        found.update(((f.type, token), None) for f in entry.finds for token in f.tokens)
    for step in mapped.steps:
        found.update((("ServiceRequest", token), None) for token in step.order)
    return list(found)


def survivors(found: Iterable[Resource]) -> list[str]:
    """`Patient/id` of those that stand for merged patients among what was found."""
    named = (_replaced_by(each) for each in found)
    return list(dict.fromkeys(each for each in named if each))


def settle(
    mapped: Mapped,
    found: Mapping[Wanted, Sequence[Resource]],
    new_id: Callable[[], str],
    others: Mapping[str, Resource] | None = None,
    latest: Mapping[tuple[str, str], datetime] | None = None,
) -> Plan:
    """Bring a message to what is stored. Changes the resources of the message in place.

    found: for each of `wanted` the resources that have the identifier. others: by `Type/id` those
    that `survivors` named, and that those named in turn. latest: when the newest message about each
    of them was recorded.
    """
    plan = Plan()
    told = latest or {}
    others = others or {}
    currents: list[tuple[Entry, Resource | None]] = []
    for entry in mapped.entries:
        current = _current(entry, found, others, plan)
        id_ = current["id"] if current else new_id()
        plan.ids[entry.full_url] = f"{entry.type}/{id_}"
        currents.append((entry, current))
    _resolve_finds(mapped.entries, found, others, plan)
    for entry in mapped.entries:
        _point(entry.resource, plan.ids)
    _absorb(currents)
    for entry, current in currents:
        id_ = plan.ids[entry.full_url].partition("/")[2]
        older = _is_overtaken(entry, mapped, told.get((entry.type, id_)))
        if mapped.recorded and follows(entry) and not older:
            plan.times[entry.type, id_] = mapped.recorded[0]
        new = _new(entry, current, plan, older=older)
        plan.resources.append(Settled(entry, entry.type, id_, current, new))
    plan.order_ids = [_order_id(step.order, step.url, found, plan) for step in mapped.steps]
    return plan


def _current(
    entry: Entry,
    found: Mapping[Wanted, Sequence[Resource]],
    others: Mapping[str, Resource],
    plan: Plan,
) -> Resource | None:
    for token in entry.tokens:
        matches = _live(found.get((entry.type, token), ()), others, entry.name)
        if len(matches) > 1:
            named = ", ".join(f"{entry.type}/{each['id']}" for each in matches[:5])
            told = f"{token} is the identifier of {len(matches)}: {named}; expected one"
            plan.issues.append(MappingIssue("error", "204", told, ""))
        if matches:
            return matches[0]
    return None


def _live(matches: Sequence[Resource], others: Mapping[str, Resource], name: str) -> list[Resource]:
    """What is meant by those that have an identifier: for a merged patient its survivor."""
    if name == "merged-patient":
        own = [each for each in matches if not _replaced_by(each)]
        return own or list(matches[:1])
    meant: dict[str, Resource] = {}
    for each in matches:
        seen: set[str] = set()
        while (other := _replaced_by(each)) and other in others and other not in seen:
            seen.add(other)
            each = others[other]
        meant[each["id"]] = each
    return list(meant.values())


def _replaced_by(patient: Resource) -> str | None:
    for link in patient.get("link", ()):
        if link.get("type") == "replaced-by":
            reference = link.get("other", {}).get("reference")
            return str(reference) if reference else None
    return None


def _resolve_finds(
    entries: Sequence[Entry],
    found: Mapping[Wanted, Sequence[Resource]],
    others: Mapping[str, Resource],
    plan: Plan,
) -> None:
    made = {(each.type, token): each for each in entries for token in each.tokens}
    for entry in entries:
        for find in entry.finds:
            names = ((find.type, token) for token in find.tokens)
            own = next((made[each] for each in names if each in made), None)
            matches = (found.get((find.type, token), ()) for token in find.tokens)
            match = next((m for each in matches for m in _live(each, others, "")), None)
            if own is not None:
                find.container[find.name] = {"reference": own.full_url}
            elif match is not None:
                find.container[find.name] = {"reference": f"{find.type}/{match['id']}"}


def _point(value: Any, ids: Mapping[str, str]) -> None:
    """References to the message's entries as references to where they are stored."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference in ids:
            value["reference"] = ids[reference]
        for each in value.values():
            _point(each, ids)
    elif isinstance(value, list):
        for each in value:
            _point(each, ids)


def _absorb(currents: Sequence[tuple[Entry, Resource | None]]) -> None:
    """What is merged into another gives it its identifiers, as old ones (HL7 v2 3.6.2.1)."""
    for entry, current in currents:
        name = entry.rules.data.get("absorbs") if entry.rules else None
        links = {link["other"].get("reference") for link in entry.resource.get("link", ())}
        for other, stored in currents if name else ():
            if other.name != name:
                continue
            where = f"{other.type}/{stored['id']}" if stored else None
            if stored is not None and where not in links:
                continue
            given = [*other.resource.get("identifier", ()), *(stored or {}).get("identifier", ())]
            mine = {_token(each) for each in entry.resource.get("identifier", ())}
            mine |= {_token(each) for each in (current or {}).get("identifier", ())}
            for identifier in given:
                if _token(identifier) not in mine:
                    mine.add(_token(identifier))
                    added = identifier | {"use": "old"}
                    entry.resource.setdefault("identifier", []).append(added)


def _token(identifier: Resource) -> tuple[Any, Any]:
    return identifier.get("system"), identifier.get("value")


def follows(entry: Entry) -> bool:
    """Whether the times of messages say which state of a resource is newer."""
    rules = entry.rules
    return entry.mode == "update" and rules is not None and rules.data.get("newer") == "message"


def _is_overtaken(entry: Entry, mapped: Mapped, latest: datetime | None) -> bool:
    """Whether a message that was recorded later has told of the resource."""
    if latest is None or mapped.recorded is None or not follows(entry):
        return False
    return mapped.recorded[1] < latest


def _new(entry: Entry, current: Resource | None, plan: Plan, *, older: bool) -> Resource | None:
    if current is None:
        return entry.resource
    if entry.mode == "create":
        return None
    if older or is_older(entry, current):
        told = f"{entry.type}/{current['id']} is newer than the message; it stays as it is"
        plan.issues.append(MappingIssue("warning", "0", told, ""))
        if "link" not in entry.resource:
            return None
        # That records are one is no state that a newer message tells otherwise.
        kept = {name: entry.resource[name] for name in _TIED if name in entry.resource}
        entry.resource, entry.deletions = kept, []
    new = merged(entry, current)
    return None if new == current else new


def _order_id(
    tokens: Sequence[str],
    url: str,
    found: Mapping[Wanted, Sequence[Resource]],
    plan: Plan,
) -> str | None:
    own = plan.ids.get(url, "")
    if own.startswith("ServiceRequest/"):
        known = [each for each in plan.resources if f"{each.type}/{each.id}" == own]
        return known[0].id if known and known[0].old is not None else None
    for token in tokens:
        for each in found.get(("ServiceRequest", token), ()):
            return str(each["id"])
    return None
