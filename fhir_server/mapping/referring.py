"""References: to resources of the message, to what may be known already, to contained ones."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.entries import Entry, Find
from fhir_server.mapping.evaluation import compile_one, text_of
from fhir_server.mapping.placing import put
from fhir_server.mapping.rules import Json, Rule
from fhir_server.mapping.scope import Mark, Scope
from fhir_server.mapping.slots import Slot

# Adds what a rule gives to an element; whether it read something of the message.
Step = Callable[[Scope, Json], bool]


@dataclass(slots=True)
class Link:
    """References to other resources of the message, set when all of them are there."""

    names: tuple[str, ...]
    many: bool
    step: Callable[[Scope, Json, Sequence[Entry]], None]


def refer(link: Link) -> Step:
    """References, from within an element, to resources that were made before."""

    def step(scope: Scope, target: Json) -> bool:
        entries = scope.run.entries
        found = [e for name in link.names for e in entries.around(scope.group, name)]
        link.step(scope, target, found)
        return bool(found)

    return step


def find_step(rule: Rule, slot: Slot, also: Sequence[str]) -> Step:
    """A reference to what is known already, else by its identifier alone."""
    given = rule.get("find")
    system, value, type_ = compile_one(given["system"]), compile_one(given["value"]), given["type"]

    def step(scope: Scope, target: Json) -> bool:
        number = text_of(value(scope))
        if not number:
            return False
        uri = text_of(system(scope))
        identifier = {"system": uri, "value": number} if uri else {"value": number}
        reference: Json = {"type": type_, "identifier": identifier}
        entry = scope.run.entries.current
        if not put(scope, target, slot, reference, rule, None):
            return False
        if entry is not None:
            container = target[slot.name] if slot.many and not slot.parents else target
            name = len(container) - 1 if isinstance(container, list) else slot.name
            tokens = (f"{uri}|{number}", *(f"{each}|{number}" for each in also))
            entry.finds.append(Find(container, name, type_, tokens))
        return True

    return step


def tokens_of(resource: Json, rules: Any) -> tuple[str, ...]:
    """The identifiers of a resource as `system|value`, the best to look for first.

    Where the rules say `only`, none but those of their types tell it from others; those of the
    types that `never` names do so only if there is nothing else.
    """
    identity: Mapping[str, Any] = rules.data.get("identity", {}) if rules is not None else {}
    wanted, also = identity.get("types", ()), identity.get("also", ())
    never = frozenset(identity.get("never", ()))

    def rank(identifier: Json) -> int:
        return min(
            (wanted.index(t) for t in _types(identifier) if t in wanted), default=len(wanted)
        )

    found = [i for i in resource.get("identifier", ()) if i.get("value") and i.get("system")]
    if identity.get("only"):
        found = [each for each in found if rank(each) < len(wanted)]
    found = [each for each in found if not never & _types(each)] or found
    found.sort(key=rank)
    own = [f"{each['system']}|{each['value']}" for each in found]
    return (*own, *(f"{system}|{each['value']}" for each in found[:1] for system in also))


def _types(identifier: Json) -> frozenset[str]:
    codings = identifier.get("type", {}).get("coding", ())
    return frozenset(each["code"] for each in codings if "code" in each)


def reference_to(scope: Scope, resource: Json, rules: Any, rule: Rule) -> Json:
    """A reference to a resource of its own, or to one within that which refers to it."""
    entries = scope.run.entries
    tokens = tokens_of(resource, rules)
    if not tokens or entries.contain:
        return _contained(scope, resource)
    known = entries.known(resource["resourceType"], tokens)
    if known is None:
        name = resource["resourceType"]
        known = Entry(name, rules, resource, entries.new_url(), "create", tokens, tokens[0])
        entries.add(known)
        if scope.run.trace is not None:
            scope.run.trace[id(known), ""] = Mark(rule.label, "")
    return {"reference": known.full_url}


def _contained(scope: Scope, resource: Json) -> Json:
    owner = scope.run.entries.current
    if owner is None:
        return {"display": resource.get("name", resource["resourceType"])}
    contained = owner.resource.setdefault("contained", [])
    contained += (e for e in resource.pop("contained", ()) if e not in contained)
    for each in contained:
        if {n: v for n, v in each.items() if n != "id"} == resource:
            return {"reference": f"#{each['id']}"}
    # By its content, so that the same has the same id in every message.
    digest = hashlib.sha1(repr(resource).encode(), usedforsecurity=False).hexdigest()[:12]
    resource["id"] = f"{resource['resourceType'].lower()}-{digest}"
    contained.append(resource)
    return {"reference": f"#{resource['id']}"}
