"""Breaks one rule of a profile at a time in an example that is valid, and says what must be told.

What a profile demands is read from its published snapshot, element by element, without the code
that is tested.
"""

import copy
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.fhirpath import Node
from fhir_server.fhirpath import compile as compile_fhirpath
from fhir_server.spec import definitions

Json = dict[str, Any]

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_NOWHERE = "http://example.org/fhir/StructureDefinition/unknown"
_SEVERAL = 3


@dataclass(frozen=True, slots=True)
class Mutation:
    """A resource with one rule broken.

    rules: the keys of which one must be reported. place: where.
    """

    name: str
    resource: Json
    rules: frozenset[str]
    place: str


def mutations(resource: Json, profile: Json, known: Collection[str] = ()) -> Iterator[Mutation]:
    """Every mutation there is of an example that conforms to a profile.

    known: the value sets, beside R4's own, of which every code is known.
    """
    for element in profile["snapshot"]["element"]:
        nodes = nodes_of(resource, element["path"])
        if ":" in element["id"]:
            yield from _of_slice(resource, element)
            # A choice has one value: a slice of it by type is that value.
            if "[x]:value" not in element["id"] or element["id"].count(":") > 1:
                continue
            nodes = [node for node in nodes if _of_sliced_type(node, element["id"])]
        else:
            for constraint in element.get("constraint", ()):
                for node in nodes[:1]:
                    yield from _broken_invariant(resource, constraint["key"], node)
        if "." not in element["path"]:
            continue
        for node in nodes[:_SEVERAL]:
            for make in _OF_ELEMENT:
                yield from make(resource, element, node)
            yield from _wrong_code(resource, element, node, known)
    for make_one in _OF_RESOURCE:
        yield from make_one(resource)
    yield from _of_types(resource)


def nodes_of(resource: Json, path: str) -> list[Node]:
    """The elements at the path of an ElementDefinition."""
    return compile_fhirpath(path.replace("[x]", "")).evaluate_nodes(resource)


def holder(resource: Json, node: Node) -> tuple[Any, str | int]:
    """The object or array in `resource` that holds the value of a node, and its key there."""
    steps: list[str | int] = []
    below = False
    while node.parent is not None and node.child is not None:
        if node.index is not None:
            steps.append(node.index)
        # What is inside a primitive stands in the property beside it.
        steps.append(node.child.sibling if below else node.child.key)
        below = node.child.nested
        node = node.parent
    steps.reverse()
    value: Any = resource
    for step in steps[:-1]:
        value = value[step]
    return value, steps[-1]


def changed(resource: Json, node: Node, change: Callable[[Any], Any]) -> Json:
    """A copy in which the value of a node is another."""
    made = copy.deepcopy(resource)
    container, key = holder(made, node)
    container[key] = change(container[key])
    return made


def _of_sliced_type(node: Node, id_: str) -> bool:
    wanted = id_.rpartition("[x]:value")[2].partition(".")[0]
    above: Node | None = node
    while above is not None:
        if above.kind.name == wanted:
            return above is not node
        above = above.parent
    return False


# elements


def _without(resource: Json, element: Json, node: Node) -> Iterator[Mutation]:
    """Take away what must be there."""
    if not element.get("min") or node.parent is None or node.child is None or node.index:
        return
    made = copy.deepcopy(resource)
    container, key = holder(made, node)
    if node.index is not None:
        container, key = holder(made, Node(None, node.kind, None, node.parent, node.child))
    container.pop(key, None)
    container.pop(f"_{key}", None)
    # An object that is left empty breaks another rule.
    if container.keys() <= {"id"}:
        return
    yield Mutation(
        f"without {element['id']}",
        made,
        frozenset({"min"}),
        f"{node.parent.path}.{node.child.name}",
    )


def _twice(resource: Json, element: Json, node: Node) -> Iterator[Mutation]:
    """Repeat what may be there once."""
    if element.get("max") != "1" or node.index != 0 or node.parent is None or not node.value:
        return
    made = copy.deepcopy(resource)
    container, _ = holder(made, node)
    if len(container) != 1:
        return
    container.append(copy.deepcopy(container[0]))
    assert node.child is not None
    place = f"{node.parent.path}.{node.child.name}[1]"
    yield Mutation(f"{element['id']} twice", made, frozenset({"max"}), place)


def _other_value(resource: Json, element: Json, node: Node) -> Iterator[Mutation]:
    """Another value than the fixed one, or one without what the pattern has."""
    for stem in ("fixed", "pattern"):
        if any(key.startswith(stem) for key in element) and node.value is not None:
            yield Mutation(
                f"other {stem} of {element['id']}",
                changed(resource, node, _other),
                frozenset({stem}),
                node.path,
            )


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list):
        return [_other(each) for each in value]
    if isinstance(value, dict):
        kept = ("display", "text", "id", "extension")
        return {key: each if key in kept else _other(each) for key, each in value.items()}
    return value


def _wrong_code(
    resource: Json, element: Json, node: Node, known: Collection[str]
) -> Iterator[Mutation]:
    """A code that the value set of a required binding does not have."""
    binding = element.get("binding") or {}
    value_set = str(binding.get("valueSet"))
    value_set = value_set.partition("|")[0]
    if binding.get("strength") != "required":
        return
    if definitions().codes(value_set) is None and value_set not in known:
        return
    if node.value is None:
        return
    if isinstance(node.value, str):
        made = changed(resource, node, lambda _: "no-such-code")
    elif node.kind.name == "CodeableConcept" and node.value.get("coding"):
        codings = [{"system": "http://example.org/codes", "code": "no-such-code"}]
        made = changed(resource, node, lambda _: {"coding": codings})
    else:
        return
    yield Mutation(f"wrong code in {element['id']}", made, frozenset({"binding"}), node.path)


def _wrong_target(resource: Json, element: Json, node: Node) -> Iterator[Mutation]:
    """A reference to a type that is not among the targets."""
    if node.kind.name != "Reference" or not node.value.get("reference"):
        return
    targets = [
        target
        for type_ in element.get("type", ())
        if type_["code"] == "Reference"
        for target in type_.get("targetProfile", ())
    ]
    if not targets or f"{_CORE}Resource" in targets:
        return
    made = changed(resource, node, lambda value: value | {"reference": "Linkage/x"})
    made_by_type = changed(
        resource, node, lambda _: {"type": "Linkage", "identifier": {"value": "x"}}
    )
    name = f"wrong target of {element['id']}"
    rules = frozenset({"targetProfile", "value"})
    # What R4 forbids already is told at the text itself.
    places = f"{node.path}.reference"
    core = all(target.startswith(_CORE) for target in targets)
    yield Mutation(name, made, rules, places if core else node.path)
    if not core:
        yield Mutation(f"{name} by type", made_by_type, rules, node.path)


# Invariants of US Core and of the vital signs: what breaks them when it is away, and what else
# has to be set for that.
_AWAY: dict[str, tuple[tuple[str, ...], Json]] = {
    "us-core-2": (("value", "dataAbsentReason", "component", "hasMember"), {}),
    "us-core-7": (("performed",), {"status": "completed"}),
    "us-core-8": (("effective",), {"status": "final"}),
    "us-core-9": (("issued",), {"status": "final"}),
    "us-core-10": (("effective",), {"status": "final"}),
    "us-core-13": (("practitioner", "organization", "healthcareService", "location"), {}),
    "us-core-14": (("name", "relationship"), {"active": True}),
    "us-core-20": (("whenHandedOver",), {"status": "completed"}),
    "us-core-21": (("requester",), {"intent": "order"}),
    "us-core-6": (("family", "given", "url", "data"), {"id": "a"}),
    "vs-2": (("value", "dataAbsentReason", "component", "hasMember"), {}),
    "vs-3": (("value", "dataAbsentReason"), {}),
    "obs-3": (("low", "high", "text"), {"type": {"text": "x"}}),
    "pat-1": (("name", "telecom", "address", "organization"), {"gender": "female"}),
    "imm-1": (("documentType", "reference"), {"publicationDate": "2024"}),
    "cpl-3": ((), {"detail": {"status": "scheduled"}, "reference": {"display": "x"}}),
    "obs-6": (("value",), {"valueString": "x", "dataAbsentReason": {"text": "x"}}),
    "ait-2": (("verificationStatus", "clinicalStatus"), {}),
    "con-4": (("abatement", "clinicalStatus"), {"abatementString": "x"}),
}
_OTHER_RULE = "ait-2"


def _broken_invariant(resource: Json, key: str, node: Node) -> Iterator[Mutation]:
    """Take away what an invariant needs."""
    if key not in _AWAY or not isinstance(node.value, dict):
        return
    names, added = _AWAY[key]

    def change(value: Json) -> Json:
        kept = {
            each: item
            for each, item in value.items()
            if not any(_is_element(each, name) for name in names)
        }
        return kept | added

    made = (
        change(copy.deepcopy(resource)) if node.parent is None else changed(resource, node, change)
    )
    rule = "ait-1" if key == _OTHER_RULE else key
    yield Mutation(f"broken {key}", made, frozenset({rule}), node.path)


def _is_element(key: str, name: str) -> bool:
    rest = key.removeprefix("_").removeprefix(name)
    return rest != key.removeprefix("_") and (not rest or rest[0].isupper())


_OF_ELEMENT = (_without, _twice, _other_value, _wrong_target)


# slices


def _of_slice(resource: Json, element: Json) -> Iterator[Mutation]:
    """Take away what a slice demands; the values of a slice are told by what is fixed in it."""
    last = element["id"].rpartition(".")[2]
    if ":" not in last or element["id"].count(":") > 1 or not element.get("min"):
        return
    pattern = next(
        (value for key, value in element.items() if key.startswith(("pattern", "fixed"))), None
    )
    if pattern is None or "[x]" in element["path"]:
        return
    nodes = [node for node in nodes_of(resource, element["path"]) if _has(node.value, pattern)]
    if len(nodes) != 1 or nodes[0].parent is None or nodes[0].child is None:
        return
    node = nodes[0]
    made = changed(resource, node, _other)
    place = f"{nodes[0].parent.path}.{nodes[0].child.name}"
    yield Mutation(f"without {element['id']}", made, frozenset({"min"}), place)


def _has(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            _has(value.get(key), each) for key, each in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(_has(one, each) for one in value) for each in pattern
        )
    return bool(value == pattern)


# the whole resource


def _unknown_modifier(resource: Json) -> Iterator[Mutation]:
    made = copy.deepcopy(resource)
    modifiers = made.setdefault("modifierExtension", [])
    modifiers.append({"url": _NOWHERE, "valueBoolean": True})
    place = f"{resource['resourceType']}.modifierExtension[{len(modifiers) - 1}]"
    yield Mutation("unknown modifier", made, frozenset({"modifierExtension"}), place)


def _misplaced_extension(resource: Json) -> Iterator[Mutation]:
    made = copy.deepcopy(resource)
    extensions = made.setdefault("extension", [])
    extensions.append({"url": f"{_CORE}humanname-own-name", "valueString": "x"})
    place = f"{resource['resourceType']}.extension[{len(extensions) - 1}]"
    yield Mutation("misplaced extension", made, frozenset({"context"}), place)


def _contained(resource: Json) -> Iterator[Mutation]:
    name = resource["resourceType"]
    lonely = {"resourceType": "Basic", "id": "lonely", "code": {"text": "x"}}
    yield Mutation(
        "contained but not referred to",
        copy.deepcopy(resource) | {"contained": [*resource.get("contained", ()), lonely]},
        frozenset({"dom-3"}),
        name,
    )
    versioned = lonely | {"meta": {"versionId": "1"}}
    yield Mutation(
        "contained with a version",
        copy.deepcopy(resource) | {"contained": [*resource.get("contained", ()), versioned]},
        frozenset({"dom-4"}),
        name,
    )


def _unknown_element(resource: Json) -> Iterator[Mutation]:
    made = copy.deepcopy(resource) | {"unknownElement": "x"}
    place = f"{resource['resourceType']}.unknownElement"
    yield Mutation("unknown element", made, frozenset({"structure"}), place)


def _extensions(resource: Json) -> Iterator[Mutation]:
    """Break the definitions of the extensions that stand on the resource."""
    for index, extension in enumerate(resource.get("extension", ())):
        place = f"{resource['resourceType']}.extension[{index}]"
        value = next((key for key in extension if key.startswith("value")), None)
        made = copy.deepcopy(resource)
        if value is not None:
            made["extension"][index] = {"url": extension["url"], "valueBase64Binary": "eA=="}
            rules, place = frozenset({"type"}), f"{place}.value"
        else:
            made["extension"][index] = {"url": extension["url"], "valueString": "x"}
            rules, place = frozenset({"max"}), f"{place}.value"
        yield Mutation(f"other value of {extension['url']}", made, rules, place)


def _empty_narrative(resource: Json) -> Iterator[Mutation]:
    if "text" in resource:
        div = '<div xmlns="http://www.w3.org/1999/xhtml"> </div>'
        made = copy.deepcopy(resource)
        made["text"]["div"] = div
        place = f"{resource['resourceType']}.text.div"
        yield Mutation("empty narrative", made, frozenset({"value", "txt-2"}), place)


def _other_type(resource: Json) -> Iterator[Mutation]:
    made = {"resourceType": "Linkage", "meta": copy.deepcopy(resource.get("meta", {}))}
    made |= {"item": [{"type": "source", "resource": {"display": "x"}}] * 2}
    if resource.get("meta", {}).get("profile"):
        yield Mutation("another type", made, frozenset({"type"}), "Linkage")


_OF_RESOURCE = (
    _unknown_element,
    _extensions,
    _unknown_modifier,
    _misplaced_extension,
    _contained,
    _empty_narrative,
    _other_type,
)


# data types

_BREAK: tuple[tuple[str, str, Callable[[Json], Json | None]], ...] = (
    (
        "Period",
        "per-1",
        lambda value: {"start": "2024-02-02", "end": "2024-02-01"},
    ),
    (
        "Quantity",
        "qty-3",
        lambda value: (
            {k: v for k, v in value.items() if k != "system"} if "code" in value else None
        ),
    ),
    (
        "ContactPoint",
        "cpt-2",
        lambda value: (
            {k: v for k, v in value.items() if k != "system"} if "value" in value else None
        ),
    ),
    (
        "Attachment",
        "att-1",
        lambda value: {"data": "eA=="},
    ),
    ("Reference", "value", lambda value: {"reference": "#nobody"}),
    ("Extension", "ext-1", lambda value: {"url": value.get("url")}),
    ("Coding", "structure", lambda value: {}),
)


def _becoming(value: Json) -> Callable[[Any], Json]:
    return lambda _: value


def _of_types(resource: Json) -> Iterator[Mutation]:
    """Break what R4 demands of a data type, wherever the type is met first."""
    everything = compile_fhirpath("descendants()").evaluate_nodes(resource)
    for name, rule, change in _BREAK:
        found = [node for node in everything if node.kind.name == name]
        for node in found[:1]:
            value = change(node.value)
            if value is not None:
                place = f"{node.path}.reference" if name == "Reference" else node.path
                made = changed(resource, node, _becoming(value))
                yield Mutation(f"broken {name}", made, frozenset({rule}), place)
