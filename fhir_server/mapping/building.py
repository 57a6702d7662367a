"""Rules as closures that build FHIR elements: compiled once for each set of overlays."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.entries import Deletion, Entry, Find
from fhir_server.mapping.evaluation import (
    compile_condition,
    compile_each,
    compile_one,
    has_part,
    text_of,
)
from fhir_server.mapping.expressions import ExpressionError, Path, paths, read
from fhir_server.mapping.loading import Book
from fhir_server.mapping.primitives import CONVERTERS
from fhir_server.mapping.primitives import text_of as primitive_text
from fhir_server.mapping.rules import Json, MappingError, Rule, Table, texts
from fhir_server.mapping.scope import Mark, Scope
from fhir_server.mapping.values import Segment, Value
from fhir_server.spec import definitions
from fhir_server.spec.model import ElementDefinition, TypeDefinition

# Adds what a rule gives to an element; whether it read something of the message.
Step = Callable[[Scope, Json], bool]
# From a value to what stands in FHIR, None for nothing.
Make = Callable[[Scope, Any], Any]

ALTERNATE_CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"


@dataclass(slots=True)
class Link:
    """References to other resources of the message, set when all of them are there."""

    names: tuple[str, ...]
    many: bool
    step: Callable[[Scope, Json, Sequence[Entry]], None]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where in an element a rule puts what it gives.

    parents: the names on the way there, each with whether it is a list. variants: the names of
    a choice, of which one at most may be there.
    """

    parents: tuple[tuple[str, bool], ...]
    name: str
    many: bool
    type: str
    variants: tuple[str, ...] = ()
    content: str | None = None
    required: str | None = None


class Builder:
    """Compiles the mappings of a book, each when it is first asked for."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._definitions = definitions()
        self._compiled: dict[tuple[str, str], list[Step]] = {}
        self._links: dict[str, list[tuple[Link, Callable[[Scope], bool] | None]]] = {}
        self._resource = ""

    def resource(self, names: Sequence[str], type_: str) -> tuple[list[Step], list[Any]]:
        """The steps that build a resource of a type, and the links that finish it."""
        steps: list[Step] = []
        links: list[Any] = []
        for name in names:
            mapping = self.book.mappings.get(name)
            if mapping is None:
                raise MappingError(f"{type_}: there is no mapping {name}")
            for rule in mapping.rules:
                if rule.get("ref"):
                    links.append(self._link(rule, self._type(type_)))
                else:
                    steps.append(self._rule(rule, self._type(type_), outermost=True))
        return steps, links

    def _type(self, name: str) -> TypeDefinition:
        found = self._definitions.types.get(name)
        if found is None:
            raise MappingError(f"{name} is no type of FHIR")
        return found

    def mapping(self, name: str, type_: TypeDefinition) -> list[Step]:
        """The steps of a mapping, for an element of a type."""
        key = (name, type_.name)
        if key not in self._compiled:
            mapping = self.book.mappings.get(name)
            if mapping is None:
                raise MappingError(f"there is no mapping {name}")
            steps = self._compiled[key] = []
            steps += [self._rule(rule, type_) for rule in mapping.rules]
        return self._compiled[key]

    def _rule(self, rule: Rule, type_: TypeDefinition, *, outermost: bool = False) -> Step:
        try:
            return self._compile(rule, type_, outermost)
        except (ExpressionError, MappingError) as error:
            if str(error).startswith(rule.label):
                raise
            raise MappingError(f"{rule.label}: {error}") from None

    def _compile(self, rule: Rule, type_: TypeDefinition, outermost: bool) -> Step:
        when = compile_condition(rule.get("when")) if rule.get("when") else None
        if (rule.get("each") or rule.get("every")) and when is not None:
            when = None  # asked of each segment, in `_source`
        if name := rule.get("include"):
            step = self._include(rule, self.mapping(name, type_))
        elif rule.get("ref"):
            step = _refer(self._link(rule, type_))
        elif rule.get("find"):
            step = _find(rule, self._slot(rule, type_), self._also(rule.get("find")["type"]))
        else:
            slot = self._slot(rule, type_)
            values, make = self._values(rule, slot)
            step = _store(rule, slot, values, make, outermost)
        return _guarded(rule, when, step)

    def _include(self, rule: Rule, steps: list[Step]) -> Step:
        if not rule.get("from"):
            return lambda scope, target: _carry_out(steps, scope, target)
        one = compile_one(rule.get("from"))

        def step(scope: Scope, target: Json) -> bool:
            value = one(scope)
            return value is not None and _carry_out(steps, scope.at(value), target)

        return step

    def _slot(self, rule: Rule, type_: TypeDefinition) -> Slot:
        if rule.get("extension"):
            return self._extension_slot(rule, type_)
        path = str(rule.get("element") or "")
        *before, last = path.split(".")
        parents = []
        for name in before:
            element, _ = _element(type_, name)
            parents.append((name, element.max != 1))
            type_ = self._inside(element, name, type_)
        element, fhir = _element(type_, last)
        variants = tuple(element.name + _capital(t.code) for t in element.types)
        binding = element.binding
        return Slot(
            tuple(parents),
            last,
            element.max != 1,
            fhir,
            tuple(each for each in variants if each != last) if element.choice else (),
            element.content,
            binding.value_set if binding and binding.strength == "required" else None,
        )

    def _extension_slot(self, rule: Rule, type_: TypeDefinition) -> Slot:
        """A value of an extension, of an element or (`on`) of a primitive beside its value."""
        on = rule.get("on")
        parents = ((f"_{on}", False),) if on else ()
        if on:
            _element(type_, on)
        element = rule.get("element")
        if element is None:
            return Slot(parents, "extension", True, "Extension")
        definition, fhir = _element(self._type("Extension"), element)
        del definition
        return Slot(parents, "extension", True, fhir)

    def _inside(
        self, element: ElementDefinition, name: str, type_: TypeDefinition
    ) -> TypeDefinition:
        if element.content:
            return self._type(element.content)
        return self._type(_element(type_, name)[1])

    def _values(self, rule: Rule, slot: Slot) -> tuple[Callable[[Scope], Any], Make]:
        """Where a rule's values come from, and what becomes of each."""
        return self._source(rule), self._wrapped(rule, self._make(rule, slot))

    def _source(self, rule: Rule) -> Callable[[Scope], Any]:
        if rule.get("from"):
            return compile_each(rule.get("from"))
        segment = rule.get("each") or rule.get("every")
        if not segment:
            return lambda scope: (None,)
        deep = bool(rule.get("every"))
        if not rule.get("when"):
            return lambda scope: scope.find_all(segment, deep=deep)
        when = compile_condition(rule.get("when"))
        return lambda scope: [
            each
            for each in scope.find_all(segment, deep=deep)
            if when(Scope(scope.run, scope.group, each, scope.value))
        ]

    def _wrapped(self, rule: Rule, make: Make) -> Make:
        url, element = rule.get("extension"), rule.get("element")
        if not url:
            return make
        if element is None:
            return lambda scope, item: _with_url(url, make(scope, item))

        def extension(scope: Scope, item: Any) -> Json | None:
            value = make(scope, item)
            return None if value is None else {"url": url, element: value}

        return extension

    def _make(self, rule: Rule, slot: Slot) -> Make:
        if "value" in rule.data:
            return _constant(rule.get("value"), slot, self._definitions, rule)
        table = self.book.table(rule.get("table")) if rule.get("table") else None
        if rule.get("make"):
            return self._other(rule, rule.get("make"))
        if rule.get("as") or rule.rules:
            return self._composed(rule, slot, table)
        if slot.type in CONVERTERS:
            if table is not None:
                return _translated(rule, table, slot)
            return _primitive(rule, slot)
        raise MappingError(f"{slot.type}: expected `as`, the mapping that makes one, or `rules`")

    def _composed(self, rule: Rule, slot: Slot, table: Table | None) -> Make:
        type_ = self._type(slot.content or slot.type)
        steps = list(self.mapping(rule.get("as"), type_)) if rule.get("as") else []
        steps += [self._rule(each, type_) for each in rule.rules]
        constants = bool(rule.get("from") or rule.get("each") or rule.get("every"))

        def make(scope: Scope, item: Any) -> Json | None:
            if isinstance(item, Segment):
                inner = Scope(scope.run, scope.group, item, scope.value)
            else:
                inner = scope if item is None else scope.at(item)
            target: Json = {}
            read = _carry_out(steps, inner, target)
            return target if target and (read or (constants and not rule.get("as"))) else None

        if table is None or slot.type not in ("CodeableConcept", "Coding"):
            return make
        return _coded(rule, make, table, slot.type)

    def _other(self, rule: Rule, name: str) -> Make:
        """Another resource, made of the value; the element refers to it."""
        mapping = self.book.mappings.get(name)
        if mapping is None:
            raise MappingError(f"there is no mapping {name}")
        type_ = self._type(mapping.to)
        steps = self.mapping(name, type_)
        steps = [*steps, *(self._rule(each, type_) for each in rule.rules)]
        rules = self.book.resources.get(mapping.to)
        alone = not rule.rules and self._alone(name)

        def once(scope: Scope, item: Any) -> Json | None:
            # The same text names the same, such as the observer of thirty results.
            if not alone or not isinstance(item, Value) or scope.run.trace is not None:
                return make(scope, item)
            made = scope.run.made
            key = (name, item.text)
            if key not in made:
                reference: Json | None = make(scope, item)
                if reference is None or reference["reference"].startswith("#"):
                    return reference
                made[key] = reference["reference"]
            return {"reference": made[key]}

        def make(scope: Scope, item: Any) -> Json | None:
            resource: Json = {"resourceType": mapping.to}
            inner = scope if item is None else scope.at(item)
            entries = scope.run.entries
            owner, entries.current = entries.current, Entry(mapping.to, rules, resource, "")
            read = _carry_out(steps, inner, resource)
            entries.current = owner
            return _reference(scope, resource, rules, rule) if read else None

        return once

    def _also(self, type_: str) -> tuple[str, ...]:
        """Further systems under which resources of a type are looked for."""
        known = (each for each in self.book.resources.values() if each.type == type_)
        return tuple(s for each in known for s in each.data.get("identity", {}).get("also", ()))

    def _alone(self, name: str) -> bool:
        """Whether a mapping reads nothing but the value in hand."""
        mapping = self.book.mappings[name]
        return all(self._reads_value_only(rule) for rule in mapping.rules)

    def _reads_value_only(self, rule: Rule) -> bool:
        texts_ = [rule.get(key) for key in ("from", "when") if rule.get(key)]
        if rule.get("each") or rule.get("every") or rule.get("find") or rule.get("ref"):
            return False
        if any(path.segment for text in texts_ for path in paths(read(text))):
            return False
        others = [rule.get(key) for key in ("as", "make", "include") if rule.get(key)]
        inner = all(self._reads_value_only(each) for each in rule.rules)
        return inner and all(self._alone(each) for each in others)

    def _link(self, rule: Rule, type_: TypeDefinition) -> Link:
        slot = self._slot(rule, type_)
        when = compile_condition(rule.get("when")) if rule.get("when") else None
        wrap = rule.get("extension"), rule.get("element")
        inside, beside = rule.get("inside"), rule.get("with") or {}

        def step(scope: Scope, target: Json, entries: Sequence[Entry]) -> None:
            if when is not None and not when(scope):
                return
            if not entries and rule.get("value"):
                _put(scope, target, slot, copy.deepcopy(rule.get("value")), rule, None)
            for entry in entries if slot.many else entries[:1]:
                reference: Json = {"reference": entry.full_url}
                if inside:
                    reference = {inside: reference, **copy.deepcopy(beside)}
                if wrap[0]:
                    reference = {"url": wrap[0], wrap[1] or "valueReference": reference}
                _put(scope, target, slot, reference, rule, None)

        return Link(texts(rule.get("ref")), slot.many, step)


def _element(type_: TypeDefinition, name: str) -> tuple[ElementDefinition, str]:
    """An element and the type of its value, `valueQuantity` of a choice included."""
    element = type_.elements.get(name)
    if element is not None and not element.choice:
        return element, element.types[0].code if element.types else "BackboneElement"
    for each in type_.elements.values():
        if each.choice and name.startswith(each.name):
            for ref in each.types:
                if name == each.name + _capital(ref.code):
                    return each, ref.code
    raise MappingError(f"{type_.name} has no element {name or '(none given)'}")


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _carry_out(steps: Sequence[Step], scope: Scope, target: Json) -> bool:
    read = False
    for step in steps:
        if step(scope, target):
            read = True
    return read


def _with_url(url: str, value: Any) -> Json | None:
    return {"url": url, **value} if value else None


def _constant(value: Any, slot: Slot, known: Any, rule: Rule) -> Make:
    codes = known.codes(slot.required) if slot.required else None
    if codes is not None and slot.type == "code" and value not in codes:
        raise MappingError(f"{value!r} is no code of {slot.required}")
    if isinstance(value, (dict, list)):
        return lambda scope, item: copy.deepcopy(value)
    return lambda scope, item: value


def _primitive(rule: Rule, slot: Slot) -> Make:
    convert, type_ = CONVERTERS[slot.type], slot.type

    def make(scope: Scope, item: Any) -> Any:
        text = primitive_text(item) if item is not None else ""
        if not text:
            return None
        value = convert(scope, text)
        if value is None:
            scope.run.tell("warning", "102", f"{text!r} is no {type_}", item, rule.label)
        return value

    return make


def _translated(rule: Rule, table: Table, slot: Slot) -> Make:
    """A code by a concept map; one that the map lacks is kept beside it (ALTERNATE_CODES)."""

    def make(scope: Scope, item: Any) -> Any:
        text = text_of(item)
        if not text:
            return None
        concept = table.codes.get(text)
        if concept is not None:
            return concept.code
        told = f"{text!r} is not in the table {table.name}"
        scope.run.tell("warning", "103", told, item, rule.label)
        return _Unmapped(table.default, text, table.source)

    return make


@dataclass(frozen=True, slots=True)
class _Unmapped:
    """A code that a concept map lacks: what stands in its place, and what it was."""

    code: str | None
    original: str
    source: str


def _coded(rule: Rule, make: Make, table: Table, type_: str) -> Make:
    """A concept with the code that a map has for it first, and its own coding kept."""

    def coded(scope: Scope, item: Any) -> Json | None:
        value: Json | None = make(scope, item)
        text = text_of(item)
        concept = table.codes.get(text) if text else None
        if text and concept is None:
            told = f"{text!r} is not in the table {table.name}; it is kept as it is"
            scope.run.tell("information", "103", told, item, rule.label)
        own = ((value or {}).get("coding") or [value] if value else [None])[0]
        if own and "code" in own and "system" not in own and table.source:
            own["system"] = _source_uri(table.source)
        if concept is None:
            return value
        coding = {"system": concept.system, "code": concept.code, "display": concept.display}
        coding = {name: text for name, text in coding.items() if text}
        if type_ == "Coding":
            return coding
        value = value or {}
        same = (coding.get("system"), coding["code"])
        rest = [c for c in value.get("coding", ()) if (c.get("system"), c.get("code")) != same]
        return value | {"coding": [coding, *rest]}

    return coded


def _source_uri(source: str) -> str:
    number = source.removeprefix("HL7")
    return f"http://terminology.hl7.org/CodeSystem/v2-{number}" if number.isdigit() else source


def _store(
    rule: Rule, slot: Slot, values: Callable[[Scope], Any], make: Make, outermost: bool
) -> Step:
    constant = not any(rule.get(key) for key in ("from", "each", "every", "rules"))
    nulls = _nulls(rule) if outermost else None
    first = not slot.many
    told = rule.get("issue")

    def step(scope: Scope, target: Json) -> bool:
        read = False
        if first and _taken(target, slot):
            return False
        for item in values(scope):
            value = make(scope, item)
            if value is None:
                continue
            if _put(scope, target, slot, value, rule, item):
                read = True
                if told:
                    where = item if isinstance(item, Value) else scope.value
                    text = f"{primitive_text(item)!r} {told}"
                    scope.run.tell("warning", "102", text, where, rule.label)
            if first:
                break
        if not read and nulls is not None and nulls(scope):
            _delete(scope, rule, slot)
        return read and not constant

    return step


def _taken(target: Json, slot: Slot) -> bool:
    """Whether an element that may be there once is there, in this or another type of a choice."""
    for name, many in slot.parents:
        inner = target.get(name)
        if inner is None:
            return False
        target = inner[0] if many else inner
    return slot.name in target or any(each in target for each in slot.variants)


def _put(scope: Scope, target: Json, slot: Slot, value: Any, rule: Rule, item: Any) -> bool:
    """Put a value where it belongs; an element that has one already keeps it."""
    for parent, many in slot.parents:
        inner = target.setdefault(parent, [{}] if many else {})
        target = inner[0] if many else inner
    trace = scope.run.trace
    if isinstance(value, _Unmapped):
        if slot.name not in target:
            _put_unmapped(target, slot.name, value)
            if trace is not None:
                trace[id(target), f"_{slot.name}"] = _mark(scope, rule, item)
        if value.code is None:
            return True
        value = value.code
    if slot.many:
        container = target.setdefault(slot.name, [])
        if value not in container:
            container.append(value)
            if trace is not None:
                trace[id(container), len(container) - 1] = _mark(scope, rule, item)
        return True
    if slot.name in target or any(each in target for each in slot.variants):
        return False
    target[slot.name] = value
    if trace is not None:
        trace[id(target), slot.name] = _mark(scope, rule, item)
    return True


def _put_unmapped(target: Json, name: str, value: _Unmapped) -> None:
    coding = {"system": _source_uri(value.source), "code": value.original}
    coding = {each: text for each, text in coding.items() if text}
    extension = {"url": ALTERNATE_CODES, "valueCodeableConcept": {"coding": [coding]}}
    target.setdefault(f"_{name}", {}).setdefault("extension", []).append(extension)


def _mark(scope: Scope, rule: Rule, item: Any) -> Mark:
    if isinstance(item, (Value, Segment)):
        return Mark(rule.label, item.where)
    place = str(rule.get("from") or "")
    if place and isinstance(scope.value, Value):
        return Mark(rule.label, f"{scope.value.where}: {place}")
    return Mark(rule.label, place)


def _nulls(rule: Rule) -> Callable[[Scope], bool] | None:
    """Whether the field of a rule says that what it held is to be deleted."""
    source = read(rule.get("from")) if rule.get("from") else None
    if not isinstance(source, Path) or source.segment is None or not source.field or source.parts:
        return None
    name, field = source.segment, source.field

    def nulls(scope: Scope) -> bool:
        segment = scope.find(name)
        return segment is not None and segment.is_null(field)

    return nulls


def _delete(scope: Scope, rule: Rule, slot: Slot) -> None:
    entry = scope.run.entries.current
    if entry is None or rule.get("on"):
        return
    element = ".".join([*(name for name, _ in slot.parents), slot.name])
    items = tuple((rule.get("clears") or {}).items())
    if rule.get("extension"):
        items = (("url", rule.get("extension")),)
    entry.deletions.append(Deletion(element, items))


def _guarded(rule: Rule, when: Callable[[Scope], bool] | None, step: Step) -> Step:
    """A step that is not tried where its source is empty, which is the usual case."""
    source = read(rule.get("from")) if rule.get("from") else None
    if isinstance(source, Path) and source.segment and source.field:
        name, field = source.segment, source.field

        def on_field(scope: Scope, target: Json) -> bool:
            segment = scope.find(name)
            if segment is None or field >= len(segment.fields) or not segment.fields[field]:
                return False
            return (when is None or when(scope)) and step(scope, target)

        return on_field
    if isinstance(source, Path) and len(source.parts) >= 1:
        number = source.parts[0]

        def on_part(scope: Scope, target: Json) -> bool:
            if not has_part(scope.value, number):
                return False
            return (when is None or when(scope)) and step(scope, target)

        return on_part
    if when is None:
        return step
    return lambda scope, target: when(scope) and step(scope, target)


def _refer(link: Link) -> Step:
    """References, from within an element, to resources that were made before."""

    def step(scope: Scope, target: Json) -> bool:
        entries = scope.run.entries
        found = [e for name in link.names for e in entries.around(scope.group, name)]
        link.step(scope, target, found)
        return bool(found)

    return step


def _find(rule: Rule, slot: Slot, also: Sequence[str]) -> Step:
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
        if not _put(scope, target, slot, reference, rule, None):
            return False
        if entry is not None:
            container = target[slot.name] if slot.many and not slot.parents else target
            name = len(container) - 1 if isinstance(container, list) else slot.name
            tokens = (f"{uri}|{number}", *(f"{each}|{number}" for each in also))
            entry.finds.append(Find(container, name, type_, tokens))
        return True

    return step


def tokens_of(resource: Json, rules: Any) -> tuple[str, ...]:
    """The identifiers of a resource as `system|value`, the best to look for first."""
    wanted: Sequence[str] = ()
    also: Sequence[str] = ()
    if rules is not None:
        identity: Mapping[str, Any] = rules.data.get("identity", {})
        wanted, also = identity.get("types", ()), identity.get("also", ())

    def rank(identifier: Json) -> int:
        types = [c.get("code") for c in identifier.get("type", {}).get("coding", ())]
        return min((wanted.index(t) for t in types if t in wanted), default=len(wanted))

    found = [i for i in resource.get("identifier", ()) if i.get("value") and i.get("system")]
    found.sort(key=rank)
    own = [f"{each['system']}|{each['value']}" for each in found]
    return (*own, *(f"{system}|{each['value']}" for each in found[:1] for system in also))


def _reference(scope: Scope, resource: Json, rules: Any, rule: Rule) -> Json:
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


def marks(
    resource: Any, trace: Mapping[tuple[int, Any], Mark], path: str
) -> Iterator[tuple[str, Any, Mark]]:
    """Every element of a resource that a rule made: its path, its value, and the mark."""
    pairs = resource.items() if isinstance(resource, dict) else enumerate(resource)
    for name, value in pairs:
        place = f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}"
        if mark := trace.get((id(resource), name)):
            yield place, value, mark
        if isinstance(value, (dict, list)):
            yield from marks(value, trace, place)
