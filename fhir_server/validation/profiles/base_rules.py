"""What R4 itself says of every resource, beside its structure: invariants, bindings, references.

A walk compiled for each type meets only what can break a rule. What the structure check refuses
already is not evaluated again: `ENSURED` names it.
"""

from collections.abc import Callable, Collection
from functools import cache
from threading import RLock
from typing import Any, NamedTuple

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.model import Child, NodeType, node_type
from fhir_server.fhirpath.nodes import elements
from fhir_server.spec import Constraint, Definitions, ElementDefinition
from fhir_server.validation.profiles import first_look
from fhir_server.validation.profiles.base import CORE
from fhir_server.validation.profiles.bindings import binding_rules
from fhir_server.validation.profiles.first_look import Look, TypeLook
from fhir_server.validation.profiles.guards import Certain, guard
from fhir_server.validation.profiles.known_invariants import JUDGED, KNOWN
from fhir_server.validation.profiles.references import target_rule
from fhir_server.validation.profiles.rules import Rule, constraint_rule
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.tree import Json

# Broken only by resources that the structure check refuses.
ENSURED = frozenset({"ele-1", "ext-1", "dom-2", "txt-1", "txt-2"})
# The same, but told by its key all the same when a profile is asked for.
IN_STRUCTURE = frozenset({"ref-1"})

# By value set: whether a text may be one of its codes.
CodeTest = Callable[[str], Callable[[str], bool]]

_Step = Callable[[Node, Any, Run], None]


class _Guarded(NamedTuple):
    """A rule, and what shows that it holds: in the walk, and in the first look before it."""

    certain: Certain | None
    rule: Rule
    look: Look | None


def _guarded(certain: Certain | None, rule: Rule) -> _Guarded:
    return _Guarded(certain, rule, None if certain is None else first_look.plain(certain))


class BaseRules:
    """The walk through resources, compiled for each type when it is first met.

    warnings: also the invariants that only warn, and extensible bindings.
    each_resource, each_extension: called for every one on the way.
    codes: which codes required bindings take in a first look; without it, none settles them.
    """

    def __init__(
        self,
        definitions: Definitions,
        *,
        warnings: bool = False,
        each_resource: Rule | None = None,
        each_extension: Rule | None = None,
        codes: CodeTest | None = None,
    ) -> None:
        self._definitions = definitions
        self._codes = codes
        self._warnings = warnings
        self._each_resource = each_resource
        self._each_extension = each_extension
        self._plans: dict[str, _Plan] = {}
        # A plan is known before it is complete; those in `_ready` are complete.
        self._ready: dict[str, _Plan] = {}
        self._compiling = RLock()

    def check(self, node: Node, run: Run) -> None:
        """Check a resource and everything in it."""
        self._complete(node.kind).check(node, run)

    def settled(self, resource: dict[str, Any]) -> bool:
        """Whether a first look shows that a resource the structure check has taken is fine."""
        look = self._look(resource.get("resourceType"))
        return look is not None and look.settled(resource, first_look.inner_types(resource))

    def _look(self, name: Any) -> TypeLook | None:
        plan = self._ready.get(name)
        if plan is None:
            kind = node_type(name) if name.__class__ is str else None
            if kind is None:
                return None
            plan = self._complete(kind)
        return plan.look

    def _complete(self, kind: NodeType) -> "_Plan":
        plan = self._ready.get(kind.name)
        if plan is None:
            with self._compiling:
                plan = self._ready[kind.name] = self._plan(kind)
        return plan

    def _plan(self, kind: NodeType) -> "_Plan":
        plan = self._plans.get(kind.name)
        if plan is None:
            # Known before it is complete, because types contain themselves.
            plan = self._plans[kind.name] = _Plan()
            plan.rules = self._of_type(kind)
            plan.look.rely_on(each.look for each in plan.rules)
            # Its entries may refer to one another, which only the walk follows.
            plan.look.never |= kind.name == "Bundle"
            self._steps(kind, plan)
            extension = kind.children["extension"] if kind.primitive else None
            if extension is not None:
                plan.extension = extension, self._plan(_kind("Extension"))
        return plan

    def _of_type(self, kind: NodeType) -> tuple[_Guarded, ...]:
        url = CORE + kind.name.partition(".")[0]
        rules = list(self._invariants(kind.definition.constraints, kind, url))
        if kind.resource and self._each_resource is not None:
            rules.append(_guarded(None, self._each_resource))
        if kind.name == "Extension" and self._each_extension is not None:
            rules.append(_guarded(None, self._each_extension))
        return tuple(rules)

    def _invariants(
        self, constraints: tuple[Constraint, ...], kind: NodeType | None, url: str
    ) -> list[_Guarded]:
        made: list[_Guarded] = []
        for each in constraints:
            if each.key in ENSURED or (each.severity != "error" and not self._warnings):
                continue
            described = {
                "key": each.key,
                "severity": each.severity,
                "expression": each.expression,
            }
            rule = constraint_rule(described, url)
            if rule is not None:
                rule = _judged(each, rule, url)
                known = KNOWN.get(each.key)
                certain = known or (None if kind is None else guard(each.expression, kind))
                made.append(
                    _Guarded(certain, rule, first_look.fine)
                    if each.key in IN_STRUCTURE
                    else _guarded(certain, rule)
                )
        return made

    def _steps(self, kind: NodeType, plan: "_Plan") -> None:
        if kind.primitive:
            return
        url = CORE + kind.name.partition(".")[0]
        for name, element in kind.definition.elements.items():
            child = kind.children[name]
            assert child is not None
            for index, one in enumerate(child.alternatives):
                self._step(plan, one, element, index, url)

    def _step(
        self,
        plan: "_Plan",
        child: Child,
        element: ElementDefinition,
        index: int,
        url: str,
    ) -> None:
        rules = self._of_element(element, child, index, url)
        steps, looks = plan.steps, plan.look.steps
        own = [each.look or first_look.never for each in rules]
        if child.type is None:
            steps[child.key] = _resources(child, self)
            looks[child.key] = first_look.resources(self._look)
        elif child.primitive:
            if rules:
                steps[child.key] = _primitives(child, rules)
                looks[child.key] = first_look.all_of(own)
            if not _plain(child):
                inside = self._plan(child.type)
                steps[child.sibling] = _siblings(child, inside)
                if inside.extension is not None:
                    looks[child.sibling] = first_look.beside(inside.extension[1].look)
        else:
            inside = self._plan(child.type)
            steps[child.key] = _objects(child, inside, rules)
            looks[child.key] = first_look.objects(inside.look, own)

    def _of_element(
        self, element: ElementDefinition, child: Child, index: int, url: str
    ) -> tuple[_Guarded, ...]:
        rules = self._invariants(element.constraints, child.type, url)
        binding = element.binding
        if binding is not None and not self._in_structure(element):
            described = {"strength": binding.strength, "valueSet": binding.value_set}
            if binding.strength == "required" or self._warnings:
                look = self._code_look(element, described)
                rules += [_Guarded(None, rule, look) for rule in binding_rules(described, url)]
        targets = element.types[index].targets if index < len(element.types) else ()
        if targets and element.types[index].code == "Reference":
            canonicals = [CORE + name for name in targets]
            rule = target_rule(canonicals, self._definitions, url)
            rules.append(_Guarded(_outside, rule, first_look.reference(self._meant(targets))))
        return tuple(rules)

    def _code_look(self, element: ElementDefinition, binding: Json) -> Look | None:
        only_codes = all(each.code == "code" for each in element.types)
        if self._codes is None or not only_codes:
            return None
        return first_look.texts(self._codes(binding["valueSet"]))

    def _meant(self, targets: Collection[str]) -> frozenset[str]:
        """The types of resources that a reference to one of `targets` may lead to."""
        known = self._definitions
        return frozenset(
            name
            for name in known.resource_types
            if any(known.is_a(name, target) for target in targets)
        )

    def _in_structure(self, element: ElementDefinition) -> bool:
        """Whether the structure check has the binding."""
        assert element.binding is not None
        return (
            element.binding.strength == "required"
            and {each.code for each in element.types} <= {"code", "CodeableConcept"}
            and self._definitions.codes(element.binding.value_set) is not None
        )


class _Plan:
    """What is to be done for values of one type."""

    __slots__ = ("extension", "look", "rules", "steps")

    def __init__(self) -> None:
        self.look = TypeLook()
        self.rules: tuple[_Guarded, ...] = ()
        self.steps: dict[str, _Step] = {}
        self.extension: tuple[Child, _Plan] | None = None

    def check(self, node: Node, run: Run) -> None:
        value = node.value
        for certain, rule, _ in self.rules:
            if certain is None or not certain(value):
                rule(node, run)
        get = self.steps.get
        for key, item in value.items():
            step = get(key)
            if step is not None:
                step(node, item, run)

    def check_extra(self, node: Node, run: Run) -> None:
        """The extensions of a primitive."""
        if self.extension is None:
            return
        child, plan = self.extension
        for extension in elements(node, child):
            plan.check(extension, run)


def _objects(child: Child, plan: _Plan, rules: tuple[_Guarded, ...]) -> _Step:
    kind = child.type
    assert kind is not None

    def one(parent: Node, item: Any, index: int | None, run: Run) -> None:
        if item.__class__ is not dict:
            return
        node = Node(item, kind, None, parent, child, index)
        for certain, rule, _ in rules:
            if certain is None or not certain(item):
                rule(node, run)
        plan.check(node, run)

    def step(parent: Node, item: Any, run: Run) -> None:
        if item.__class__ is list:
            for index, each in enumerate(item):
                one(parent, each, index, run)
        else:
            one(parent, item, None, run)

    return step


def _primitives(child: Child, rules: tuple[_Guarded, ...]) -> _Step:
    def step(parent: Node, _item: Any, run: Run) -> None:
        for node in elements(parent, child):
            for guarded in rules:
                guarded.rule(node, run)

    return step


def _siblings(child: Child, plan: _Plan) -> _Step:
    def step(parent: Node, _item: Any, run: Run) -> None:
        for node in elements(parent, child):
            if node.extra is not None:
                plan.check_extra(node, run)

    return step


def _resources(child: Child, rules: BaseRules) -> _Step:
    def step(parent: Node, _item: Any, run: Run) -> None:
        for node in elements(parent, child):
            rules.check(node, run)

    return step


def _judged(constraint: Constraint, rule: Rule, url: str) -> Rule:
    """The rule, decided without FHIRPath where that is known."""
    judge = JUDGED.get(constraint.key)
    if judge is None:
        return rule
    told = f"{constraint.expression} [{constraint.key}]"

    def check(node: Node, run: Run) -> None:
        assert node.parent is not None
        try:
            fine = judge(node.value, node.parent.value)
        except (KeyError, IndexError, TypeError, AttributeError):
            rule(node, run)
            return
        if not fine:
            run.report(node, "invariant", told, (url, constraint.key))

    return check


def _outside(reference: dict[str, Any]) -> bool:
    """Whether a reference says its type, if it does, where the structure check has looked."""
    text = reference.get("reference")
    return text[:1].isupper() if text.__class__ is str else "type" not in reference


def _plain(child: Child) -> bool:
    return child.type is not None and child.type.name == "xhtml"


@cache
def _kind(name: str) -> NodeType:
    kind = node_type(name)
    assert kind is not None
    return kind
