"""What a profile says of the elements inside a value, compiled for the type the value has.

Only what the profile adds is compiled: what R4 says of the type itself is checked for every
resource (validation/structure.py, base_rules.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.model import Child, NodeType, node_type
from fhir_server.fhirpath.nodes import elements
from fhir_server.spec import ElementDefinition
from fhir_server.validation.profiles.base import type_of
from fhir_server.validation.profiles.bindings import binding_rules
from fhir_server.validation.profiles.library import plain
from fhir_server.validation.profiles.references import target_rule
from fhir_server.validation.profiles.rules import (
    Rule,
    constraint_rule,
    profile_rule,
    type_rule,
    value_rules,
)
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.slicing import Group, cardinality, slicing
from fhir_server.validation.profiles.tree import Branch, Json, ProfileFault

if TYPE_CHECKING:
    from fhir_server.validation.profiles.profile import Profiles

_SYSTEM = "http://hl7.org/fhirpath/"
_ANY_TYPE = frozenset({"Element", "BackboneElement", "Resource", "DomainResource"})


class Compiler:
    """Compiles one profile.

    url: its canonical, which findings name.
    root: its snapshot, which content references lead into.
    """

    def __init__(self, profiles: "Profiles", url: str, root: Branch) -> None:
        self.profiles = profiles
        self.url = url
        self.root = root
        self.contents: dict[int, Content] = {}

    def content(self, branch: Branch) -> "Content":
        """The check of what is inside values of an element."""
        key = id(branch)
        if key not in self.contents:
            self.contents[key] = Content(branch, self)
        return self.contents[key]

    def rules(self, branch: Branch, base: ElementDefinition | None) -> list[Rule]:
        """What one value of an element must be. `base` is what R4 says of the element."""
        element = branch.element
        rules: list[Rule] = []
        types = element.get("type") or ()
        if base is not None and base.content is None:
            rules += self._type_rules(types, base)
        rules += value_rules(element, self.url)
        binding = element.get("binding")
        if binding and not _is_of_base(binding, base):
            rules += binding_rules(binding, self.url)
        rules += self.constraints(element)
        content = self._inside(branch)
        if content is not None and content.matters(self._kinds(types, base)):
            rules.append(content.check)
        return rules

    def constraints(self, element: Json) -> list[Rule]:
        """The invariants that are not those of R4 itself."""
        made = (
            constraint_rule(each, self._source(each))
            for each in element.get("constraint") or ()
            if not self.profiles.is_base_constraint(each)
        )
        return [rule for rule in made if rule is not None]

    def _source(self, constraint: Json) -> str:
        source = constraint.get("source")
        return source if isinstance(source, str) else self.url

    def _type_rules(self, types: Sequence[Json], base: ElementDefinition) -> list[Rule]:
        definitions = self.profiles.definitions
        rules: list[Rule] = []
        codes = frozenset(str(each.get("code")) for each in types)
        known = frozenset(each.code for each in base.types)
        if types and not any(code.startswith(_SYSTEM) for code in codes) and not known <= codes:
            rules.append(type_rule(codes, self.url))
        for each in types:
            code = str(each.get("code"))
            profiles = tuple(
                one for one in each.get("profile") or () if type_of(definitions, one) is None
            )
            # An extension is held against its definition wherever it stands (extensions.py).
            if profiles and code != "Extension":
                rules.append(profile_rule(code, profiles))
            targets = tuple(each.get("targetProfile") or ())
            if code == "Reference" and targets and not self._are_of_base(targets, base):
                rules.append(target_rule(targets, definitions, self.url))
        return rules

    def _are_of_base(self, targets: Sequence[str], base: ElementDefinition) -> bool:
        names = [type_of(self.profiles.definitions, each) for each in targets]
        known = next((each.targets for each in base.types if each.code == "Reference"), ())
        return names == ["Resource"] or (None not in names and set(names) == set(known))

    def _inside(self, branch: Branch) -> "Content | None":
        if branch.children:
            return self.content(branch)
        reference = branch.element.get("contentReference")
        if not isinstance(reference, str):
            return None
        return self.content(self._referenced(reference.rpartition("#")[2]))

    def _referenced(self, path: str) -> Branch:
        branch = self.root
        for step in path.split(".")[1:]:
            name, _, slice_name = step.partition(":")
            found = branch.children.get(name)
            if found is not None and slice_name:
                found = found.slices.get(slice_name)
            if found is None:
                raise ProfileFault(self.url, f"There is no element {path} to take content from.")
            branch = found
        return branch

    @staticmethod
    def _kinds(types: Sequence[Json], base: ElementDefinition | None) -> list[NodeType] | None:
        """The types a value may have; None if only the value says it."""
        if base is not None and base.content is not None:
            kind = node_type(base.content)
            return [kind] if kind is not None else None
        codes = [str(each.get("code")) for each in types]
        if not codes or any(code in _ANY_TYPE for code in codes):
            return None
        if any(code.startswith(_SYSTEM) for code in codes):
            return []
        kinds = [node_type(code) for code in codes]
        return [kind for kind in kinds if kind is not None]


class Content:
    """The elements below one element of a profile."""

    def __init__(self, branch: Branch, compiler: Compiler) -> None:
        self._branch = branch
        self._compiler = compiler
        self._by_kind: dict[str, tuple[_Element, ...]] = {}
        self._open: set[str] = set()

    def matters(self, kinds: list[NodeType] | None) -> bool:
        """Whether there is anything to check for values of these types."""
        return kinds is None or any(self.elements(kind) for kind in kinds)

    def check(self, node: Node, run: Run) -> None:
        """Check what is inside a value."""
        for element in self.elements(node.kind):
            element.check(node, run)

    def elements(self, kind: NodeType) -> "tuple[_Element, ...]":
        """The elements with rules, for values of a type."""
        known = self._by_kind.get(kind.name)
        if known is None:
            with self._compiler.profiles.compiling:
                known = self._by_kind.get(kind.name) or self._made(kind)
        return known

    def _made(self, kind: NodeType) -> "tuple[_Element, ...]":
        if kind.name in self._open:
            # A type that contains itself: what is being made is looked up when it is met.
            return (_Later(self),)
        self._open.add(kind.name)
        try:
            made = tuple(self._compiled(kind))
        finally:
            self._open.discard(kind.name)
        self._by_kind[kind.name] = made
        return made

    def _compiled(self, kind: NodeType) -> "list[_Element]":
        found = []
        for branch in self._branch.children.values():
            name = branch.name.removesuffix("[x]")
            child, base = kind.children[name], kind.definition.elements.get(name)
            if child is None or base is None:
                if self._common(kind, branch):
                    continue
                why = f"There is no element {branch.name} in {kind.name}."
                raise ProfileFault(self._compiler.url, why)
            element = _Element(branch, child, base, self._compiler)
            if element.matters:
                found.append(element)
        return found

    def _common(self, kind: NodeType, branch: Branch) -> bool:
        """Whether an element without a place in this type has one in another type of a choice."""
        types = self._branch.element.get("type") or ()
        return len(types) != 1 or kind.primitive


class _Element:
    """One child element with everything a profile says of it."""

    def __init__(
        self, branch: Branch, child: Child, base: ElementDefinition, compiler: Compiler
    ) -> None:
        self._child = child
        self._name = base.name
        self._url = compiler.url
        least, most = cardinality(branch)
        self._least = least if least > base.min else 0
        self._most = most if most is not None and (base.max is None or most < base.max) else None
        self._rules = tuple(compiler.rules(branch, base))
        self._slicing: Group | None = None
        if branch.slices or (branch.element.get("slicing") or {}).get("rules") == "closed":
            self._slicing = _slices(branch, base, compiler)
        self.matters = bool(
            self._least or self._most is not None or self._rules or self._slicing is not None
        )

    def check(self, parent: Node, run: Run) -> None:
        """Check the values that `parent` has."""
        nodes = elements(parent, self._child)
        count = len(nodes)
        if count < self._least:
            what = f"Expected at least {self._least} {self._name}, found {count}."
            run.report(parent, "required", what, (self._url, "min"), below=self._name)
        elif self._most is not None and count > self._most:
            what = f"Expected at most {self._most} {self._name}, found {count}."
            if not self._most:
                what = f"The profile does not allow {self._name}."
            run.report(nodes[self._most], "structure", what, (self._url, "max"))
        for node in nodes:
            for rule in self._rules:
                rule(node, run)
        if self._slicing is not None:
            self._slicing(parent, nodes, run)


class _Later(_Element):
    """An element of a type that is still being compiled: looked up when it is met."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.matters = True

    def check(self, parent: Node, run: Run) -> None:
        self._content.check(parent, run)


def _slices(branch: Branch, base: ElementDefinition, compiler: Compiler) -> Group | None:
    def make(slice_: Branch) -> tuple[list[Rule], Group | None]:
        group = _slices(slice_, base, compiler) if slice_.slices else None
        return compiler.rules(slice_, base), group

    if branch.name in ("extension", "modifierExtension") and "slicing" not in branch.element:
        branch.element["slicing"] = {"discriminator": [{"type": "value", "path": "url"}]}
    return slicing(branch, make, compiler.profiles.library, compiler.url)


def _is_of_base(binding: Json, base: ElementDefinition | None) -> bool:
    """Whether a binding is the one that R4 itself has, which base_rules.py checks."""
    if base is None or base.binding is None:
        return False
    same_strength = binding.get("strength") == base.binding.strength
    return same_strength and plain(str(binding.get("valueSet"))) == base.binding.value_set
