"""Snapshots: everything a profile says, from its base and its differential.

R4 profiling.html#snapshot.
"""

from collections.abc import Callable, Iterable
from typing import Any

from fhir_server.spec import Definitions
from fhir_server.validation.profiles.base import CORE
from fhir_server.validation.profiles.merging import merged
from fhir_server.validation.profiles.tree import Branch, Json, ProfileFault, tree

# Gives the snapshot of a StructureDefinition by its canonical; None if it is not known.
Snapshot = Callable[[str], Branch | None]

_TYPE_SLICING = {
    "discriminator": [{"type": "type", "path": "$this"}],
    "ordered": False,
    "rules": "closed",
}
# `extension` and `modifierExtension` are always sliced at least by url (R4 profiling.html).
_URL_SLICING = {
    "discriminator": [{"type": "value", "path": "url"}],
    "ordered": False,
    "rules": "open",
}
_SYSTEM = "http://hl7.org/fhirpath/System."


def generated(definition: Json, snapshot: Snapshot, definitions: Definitions) -> Branch:
    """The snapshot of a profile that has only a differential.

    snapshot: gives those of its base and of the types it goes into.

    Raises ProfileFault when its base is unknown, or the differential does not fit it.
    """
    return _Generation(definition, snapshot, definitions).root()


class _Generation:
    def __init__(self, definition: Json, snapshot: Snapshot, definitions: Definitions) -> None:
        self._definition = definition
        self._url = str(definition.get("url"))
        self._snapshot = snapshot
        self._definitions = definitions
        self._root = Branch("")

    def root(self) -> Branch:
        base_url = self._definition.get("baseDefinition")
        if self._definition.get("derivation") != "constraint" or not isinstance(base_url, str):
            raise ProfileFault(self._url, "Without a snapshot only a constraint on a base is read.")
        base = self._snapshot(base_url)
        if base is None:
            raise ProfileFault(self._url, f"Its base {base_url} is not known.")
        elements = (self._definition.get("differential") or {}).get("element") or ()
        self._root = base.copy()
        if elements:
            differential = tree(self._url, elements)
            if differential.name != self._root.name:
                why = f"It is about {differential.name}, but its base is about {self._root.name}."
                raise ProfileFault(self._url, why)
            self._apply(self._root, differential)
        return self._root

    def _apply(self, branch: Branch, differential: Branch) -> None:
        """Change a branch of the snapshot as the differential says."""
        # New slices begin as the element is in the base: what else changes holds for all of them.
        base = branch.copy() if differential.slices.keys() - branch.slices.keys() else branch
        if differential.element:
            branch.element = merged(branch.element, differential.element, self._url)
        if differential.children and not branch.children:
            self._unfold(branch)
        for name, change in differential.children.items():
            self._child(branch, name, change, differential.children)
        for name, change in differential.slices.items():
            self._slice(branch, name, change, base)

    def _child(self, branch: Branch, name: str, change: Branch, beside: Iterable[str]) -> None:
        child = branch.children.get(name)
        if child is not None:
            self._apply(child, change)
            return
        choice, code = self._alternative(branch, name)
        if choice is None:
            where = "a type that is not known here" if not branch.children else branch.name
            raise ProfileFault(self._url, f"There is no element {name} in {where}.")
        # `valueQuantity` stands for a slice of `value[x]`, which then has no other type.
        if "slicing" not in choice.element:
            choice.element["slicing"] = _TYPE_SLICING
            found = (self._alternative(branch, each) for each in beside)
            named = {code for other, code in found if other is choice}
            choice.element["type"] = [
                each for each in choice.element["type"] if each.get("code") in named
            ]
        if len(choice.element["type"]) == 1 and change.element.get("min") == 1:
            choice.element["min"] = 1
        change.element.setdefault("type", _types_of(choice, code))
        self._slice(choice, name, change, choice)

    def _alternative(self, branch: Branch, name: str) -> tuple[Branch | None, str]:
        for child in branch.children.values():
            stem = child.name.removesuffix("[x]")
            if stem == child.name or not name.startswith(stem):
                continue
            for type_ in child.element.get("type", ()):
                code = str(type_.get("code"))
                if name == stem + code[:1].upper() + code[1:]:
                    return child, code
        return None, ""

    def _slice(self, branch: Branch, name: str, change: Branch, base: Branch) -> None:
        slice_ = branch.slices.get(name)
        if slice_ is None:
            slice_ = Branch(branch.name, name, dict(base.element))
            slice_.element.pop("slicing", None)
            slice_.element["min"] = 0
            slice_.children = {key: child.copy() for key, child in base.children.items()}
            branch.slices[name] = slice_
            if branch.name in ("extension", "modifierExtension"):
                branch.element.setdefault("slicing", _URL_SLICING)
        self._apply(slice_, change)

    # unfolding

    def _unfold(self, branch: Branch) -> None:
        """Give an element the children of its type, so that they can be changed."""
        reference = branch.element.get("contentReference")
        if isinstance(reference, str):
            source = self._referenced(reference)
            branch.element.pop("contentReference")
            branch.element["type"] = source.element.get("type", [])
        else:
            source = self._of_type(branch)
        branch.children = {name: child.copy() for name, child in source.children.items()}

    def _referenced(self, reference: str) -> Branch:
        path = reference.rpartition("#")[2]
        branch = self._root
        for step in path.split(".")[1:]:
            name, _, slice_name = step.partition(":")
            found = branch.children.get(name)
            if found is not None and slice_name:
                found = found.slices.get(slice_name)
            if found is None:
                raise ProfileFault(self._url, f"There is no element {path} to take content from.")
            branch = found
        return branch

    def _of_type(self, branch: Branch) -> Branch:
        types = branch.element.get("type") or [{"code": "Element"}]
        profiles = types[0].get("profile") or []
        if len(types) > 1:
            canonical = CORE + "Element"
        elif len(profiles) == 1:
            canonical = profiles[0]
        else:
            code = str(types[0].get("code"))
            canonical = CORE + ("string" if code.startswith(_SYSTEM) else code)
        found = self._snapshot(canonical)
        if found is None:
            raise ProfileFault(self._url, f"The type {canonical} of {branch.name} is not known.")
        return found


def _types_of(choice: Branch, code: str) -> list[Any]:
    return [type_ for type_ in choice.element.get("type", ()) if type_.get("code") == code]
