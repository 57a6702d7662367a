"""Rules as closures that build FHIR elements: compiled once for each set of overlays."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from fhir_server.mapping.dependence import (
    is_same_everywhere,
    makes_resources,
    reads_value_only,
    remembered,
)
from fhir_server.mapping.entries import Entry
from fhir_server.mapping.evaluation import (
    One,
    compile_condition,
    compile_each,
    compile_one,
    has_part,
)
from fhir_server.mapping.expressions import ExpressionError, Path, read
from fhir_server.mapping.loading import Book
from fhir_server.mapping.placing import delete, nulls_of, put, taken
from fhir_server.mapping.primitives import CONVERTERS
from fhir_server.mapping.primitives import text_of as primitive_text
from fhir_server.mapping.producing import Make, coded_by, constant, primitive, translated, with_url
from fhir_server.mapping.referring import Link, Step, find_step, refer, reference_to
from fhir_server.mapping.rules import Json, MappingError, Rule, Table, texts
from fhir_server.mapping.scope import Scope
from fhir_server.mapping.slots import Slot, capital, element_of, required_of
from fhir_server.mapping.values import Segment, Value
from fhir_server.spec import definitions
from fhir_server.spec.model import ElementDefinition, TypeDefinition


class Builder:
    """Compiles the mappings of a book, each when it is first asked for."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._definitions = definitions()
        self._compiled: dict[tuple[str, str], list[Step]] = {}
        self._resources: dict[tuple[tuple[str, ...], str], tuple[list[Step], list[Link]]] = {}

    def resource(self, names: Sequence[str], type_: str) -> tuple[list[Step], list[Link]]:
        """The steps that build a resource of a type, and the links that finish it."""
        key = (tuple(names), type_)
        if key not in self._resources:
            self._resources[key] = self._built(names, type_)
        return self._resources[key]

    def _built(self, names: Sequence[str], type_: str) -> tuple[list[Step], list[Link]]:
        steps: list[Step] = []
        links: list[Link] = []
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
            step = refer(self._link(rule, type_))
        elif rule.get("find"):
            step = find_step(rule, self._slot(rule, type_), self._also(rule.get("find")["type"]))
        else:
            slot = self._slot(rule, type_)
            values, make = self._values(rule, slot)
            step = _store(rule, slot, values, make, outermost)
        return _guarded(rule, when, step)

    def _include(self, rule: Rule, steps: list[Step]) -> Step:
        if not rule.get("from"):
            return lambda scope, target: _carry_out(steps, scope, target)
        one = compile_one(rule.get("from"))
        name = rule.get("include")
        if is_same_everywhere(self.book, name) and not makes_resources(self.book, name):
            return _once(steps, one)

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
            element, _ = element_of(type_, name)
            parents.append((name, element.max != 1))
            type_ = self._inside(element, name, type_)
        element, fhir = element_of(type_, last)
        variants = tuple(element.name + capital(t.code) for t in element.types)
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
            element_of(type_, on)
        element = rule.get("element")
        if element is None:
            return Slot(parents, "extension", True, "Extension")
        definition, fhir = element_of(self._type("Extension"), element)
        del definition
        return Slot(parents, "extension", True, fhir)

    def _inside(
        self, element: ElementDefinition, name: str, type_: TypeDefinition
    ) -> TypeDefinition:
        if element.content:
            return self._type(element.content)
        return self._type(element_of(type_, name)[1])

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
            return lambda scope, item: with_url(url, make(scope, item))

        def extension(scope: Scope, item: Any) -> Json | None:
            value = make(scope, item)
            return None if value is None else {"url": url, element: value}

        return extension

    def _make(self, rule: Rule, slot: Slot) -> Make:
        if "value" in rule.data:
            return constant(rule.get("value"), slot, self._definitions, rule)
        table = self.book.table(rule.get("table")) if rule.get("table") else None
        if rule.get("make"):
            return self._other(rule, rule.get("make"))
        if rule.get("as") or rule.rules:
            return self._composed(rule, slot, table)
        if slot.type in CONVERTERS:
            if table is not None:
                return translated(rule, table, slot)
            return primitive(rule, slot)
        raise MappingError(f"{slot.type}: expected `as`, the mapping that makes one, or `rules`")

    def _composed(self, rule: Rule, slot: Slot, table: Table | None) -> Make:
        type_ = self._type(slot.content or slot.type)
        steps = list(self.mapping(rule.get("as"), type_)) if rule.get("as") else []
        steps += [self._rule(each, type_) for each in rule.rules]
        required = required_of(type_)
        constants = bool(rule.get("from") or rule.get("each") or rule.get("every"))

        def composed(scope: Scope, item: Any) -> Json | None:
            if isinstance(item, Segment):
                inner = Scope(scope.run, scope.group, item, scope.value)
            else:
                inner = scope if item is None else scope.at(item)
            target: Json = {}
            read = _carry_out(steps, inner, target)
            if not target or not (read or (constants and not rule.get("as"))):
                return None
            if not all(any(name in target for name in names) for names in required):
                told = f"it lacks what {type_.name} has to have, so it is left out"
                scope.run.tell("warning", "101", told, item or scope.value, rule.label)
                return None
            return target

        make: Make = composed
        name = rule.get("as")
        if name and not rule.rules and is_same_everywhere(self.book, name):
            make = composed if makes_resources(self.book, name) else remembered(composed)
        if table is None or slot.type not in ("CodeableConcept", "Coding"):
            return make
        return coded_by(rule, make, table, slot.type)

    def _other(self, rule: Rule, name: str) -> Make:
        """Another resource, made of the value; the element refers to it."""
        mapping = self.book.mappings.get(name)
        if mapping is None:
            raise MappingError(f"there is no mapping {name}")
        type_ = self._type(mapping.to)
        steps = self.mapping(name, type_)
        steps = [*steps, *(self._rule(each, type_) for each in rule.rules)]
        rules = self.book.resources.get(mapping.to)
        alone = not rule.rules and reads_value_only(self.book, name)

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
            return reference_to(scope, resource, rules, rule) if read else None

        return once

    def _also(self, type_: str) -> tuple[str, ...]:
        """Further systems under which resources of a type are looked for."""
        known = (each for each in self.book.resources.values() if each.type == type_)
        return tuple(s for each in known for s in each.data.get("identity", {}).get("also", ()))

    def _link(self, rule: Rule, type_: TypeDefinition) -> Link:
        slot = self._slot(rule, type_)
        when = compile_condition(rule.get("when")) if rule.get("when") else None
        wrap = rule.get("extension"), rule.get("element")
        inside, beside = rule.get("inside"), rule.get("with") or {}

        def step(scope: Scope, target: Json, entries: Sequence[Entry]) -> None:
            if when is not None and not when(scope):
                return
            if not entries and rule.get("value"):
                put(scope, target, slot, copy.deepcopy(rule.get("value")), rule, None)
            for entry in entries if slot.many else entries[:1]:
                reference: Json = {"reference": entry.full_url}
                if inside:
                    reference = {inside: reference, **copy.deepcopy(beside)}
                if wrap[0]:
                    reference = {"url": wrap[0], wrap[1] or "valueReference": reference}
                put(scope, target, slot, reference, rule, None)

        return Link(texts(rule.get("ref")), slot.many, step)


def _carry_out(steps: Sequence[Step], scope: Scope, target: Json) -> bool:
    read = False
    for step in steps:
        if step(scope, target):
            read = True
    return read


def _store(
    rule: Rule, slot: Slot, values: Callable[[Scope], Any], make: Make, outermost: bool
) -> Step:
    constant = not any(rule.get(key) for key in ("from", "each", "every", "rules"))
    nulls = nulls_of(rule) if outermost else None
    first = not slot.many
    told = rule.get("issue")

    def step(scope: Scope, target: Json) -> bool:
        read = False
        if first and taken(target, slot):
            return False
        for item in values(scope):
            value = make(scope, item)
            if value is None:
                continue
            if put(scope, target, slot, value, rule, item):
                read = True
                if told:
                    where = item if isinstance(item, Value) else scope.value
                    text = f"{primitive_text(item)!r} {told}"
                    scope.run.tell("warning", "102", text, where, rule.label)
            if first:
                break
        if not read and nulls is not None and nulls(scope):
            delete(scope, rule, slot)
        return read and not constant

    return step


def _once(steps: list[Step], one: One) -> Step:
    """Rules that make the same of the same text, for an element that others fill too."""

    def make(scope: Scope, item: Any) -> Json | None:
        target: Json = {}
        return target if _carry_out(steps, scope.at(item), target) else None

    known = remembered(make)

    def plainly(scope: Scope, target: Json) -> bool:
        value = one(scope)
        if value is None:
            return False
        if scope.run.trace is not None or any(isinstance(each, list) for each in target.values()):
            return _carry_out(steps, scope.at(value), target)
        made = known(scope, value)
        for name, each in (made or {}).items():
            target.setdefault(name, each)
        return made is not None

    return plainly


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
