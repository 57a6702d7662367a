"""What R4 itself says of every resource, beside its structure: invariants, bindings, references.

A walk compiled for each type meets only what can break a rule. What the structure check refuses
already is not evaluated again: `ENSURED` names it.
"""

from collections.abc import Callable
from functools import cache
from threading import RLock
from typing import Any

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.model import Child, NodeType, node_type
from fhir_server.fhirpath.nodes import elements
from fhir_server.spec import Constraint, Definitions, ElementDefinition
from fhir_server.validation.profiles.base import CORE
from fhir_server.validation.profiles.bindings import binding_rules
from fhir_server.validation.profiles.guards import Certain, guard
from fhir_server.validation.profiles.known_invariants import KNOWN
from fhir_server.validation.profiles.references import target_rule
from fhir_server.validation.profiles.rules import Rule, constraint_rule
from fhir_server.validation.profiles.run import Run

# Broken only by resources that the structure check refuses.
ENSURED = frozenset({"ele-1", "ext-1", "dom-2", "txt-1", "txt-2"})

_Step = Callable[[Node, Any, Run], None]
_Guarded = tuple[Certain | None, Rule]


class BaseRules:
    """The walk through resources, compiled for each type when it is first met.

    warnings: also the invariants that only warn, and extensible bindings.
    each_resource, each_extension: called for every one on the way.
    """

    def __init__(
        self,
        definitions: Definitions,
        *,
        warnings: bool = False,
        each_resource: Rule | None = None,
        each_extension: Rule | None = None,
    ) -> None:
        self._definitions = definitions
        self._warnings = warnings
        self._each_resource = each_resource
        self._each_extension = each_extension
        self._plans: dict[str, _Plan] = {}
        # A plan is known before it is complete; those in `_ready` are complete.
        self._ready: dict[str, _Plan] = {}
        self._compiling = RLock()

    def check(self, node: Node, run: Run) -> None:
        """Check a resource and everything in it."""
        plan = self._ready.get(node.kind.name)
        if plan is None:
            with self._compiling:
                plan = self._ready[node.kind.name] = self._plan(node.kind)
        plan.check(node, run)

    def _plan(self, kind: NodeType) -> "_Plan":
        plan = self._plans.get(kind.name)
        if plan is None:
            # Known before it is complete, because types contain themselves.
            plan = self._plans[kind.name] = _Plan()
            plan.rules = self._of_type(kind)
            plan.steps = self._steps(kind)
            extension = kind.children["extension"] if kind.primitive else None
            if extension is not None:
                plan.extension = extension, self._plan(_kind("Extension"))
        return plan

    def _of_type(self, kind: NodeType) -> tuple[_Guarded, ...]:
        url = CORE + kind.name.partition(".")[0]
        rules = list(self._invariants(kind.definition.constraints, kind, url))
        if kind.resource and self._each_resource is not None:
            rules.append((None, self._each_resource))
        if kind.name == "Extension" and self._each_extension is not None:
            rules.append((None, self._each_extension))
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
                known = KNOWN.get(each.key)
                made.append(
                    (known or (None if kind is None else guard(each.expression, kind)), rule)
                )
        return made

    def _steps(self, kind: NodeType) -> dict[str, _Step]:
        steps: dict[str, _Step] = {}
        if kind.primitive:
            return steps
        url = CORE + kind.name.partition(".")[0]
        for name, element in kind.definition.elements.items():
            child = kind.children[name]
            assert child is not None
            for index, one in enumerate(child.alternatives):
                self._step(steps, one, element, index, url)
        return steps

    def _step(
        self,
        steps: dict[str, _Step],
        child: Child,
        element: ElementDefinition,
        index: int,
        url: str,
    ) -> None:
        rules = self._of_element(element, child, index, url)
        if child.type is None:
            steps[child.key] = _resources(child, self)
        elif child.primitive:
            if rules:
                steps[child.key] = _primitives(child, rules)
            if not _plain(child):
                steps[child.sibling] = _siblings(child, self._plan(child.type))
        else:
            steps[child.key] = _objects(child, self._plan(child.type), rules)

    def _of_element(
        self, element: ElementDefinition, child: Child, index: int, url: str
    ) -> tuple[_Guarded, ...]:
        rules = self._invariants(element.constraints, child.type, url)
        binding = element.binding
        if binding is not None and not self._in_structure(element):
            described = {"strength": binding.strength, "valueSet": binding.value_set}
            if binding.strength == "required" or self._warnings:
                rules += [(None, rule) for rule in binding_rules(described, url)]
        targets = element.types[index].targets if index < len(element.types) else ()
        if targets and element.types[index].code == "Reference":
            canonicals = [CORE + name for name in targets]
            rules.append((_outside, target_rule(canonicals, self._definitions, url)))
        return tuple(rules)

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

    __slots__ = ("extension", "rules", "steps")

    def __init__(self) -> None:
        self.rules: tuple[_Guarded, ...] = ()
        self.steps: dict[str, _Step] = {}
        self.extension: tuple[Child, _Plan] | None = None

    def check(self, node: Node, run: Run) -> None:
        value = node.value
        for certain, rule in self.rules:
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
        for certain, rule in rules:
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
            for _, rule in rules:
                rule(node, run)

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


def _outside(reference: dict[str, Any]) -> bool:
    """Whether a reference says its type in its text, which the structure check has looked at."""
    text = reference.get("reference")
    return text.__class__ is not str or text[:1].isupper()


def _plain(child: Child) -> bool:
    return child.type is not None and child.type.name == "xhtml"


@cache
def _kind(name: str) -> NodeType:
    kind = node_type(name)
    assert kind is not None
    return kind
