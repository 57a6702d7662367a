"""Slices: rules for some of the values of an element (R4 profiling.html#slicing)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fhir_server.fhirpath import Node
from fhir_server.validation.profiles.discriminators import Matcher, extension_urls, matcher
from fhir_server.validation.profiles.library import Library
from fhir_server.validation.profiles.rules import Rule
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.tree import Branch

# The values of an element, under their parent.
Group = Callable[[Node, Sequence[Node], Run], None]

# The name of the slice that takes what no other takes (R4 profiling.html#default).
_DEFAULT = "@default"


class MakeRules(Protocol):
    """Makes the rules of a slice, for one of its values and for its own slices."""

    def __call__(self, slice_: Branch) -> tuple[list[Rule], Group | None]: ...


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice, compiled.

    matchers: all must hold. most: None is `*`.
    group: the slices of this slice.
    """

    name: str
    matchers: tuple[Matcher, ...]
    least: int
    most: int | None
    rules: tuple[Rule, ...]
    group: Group | None

    def has(self, node: Node, run: Run) -> bool | None:
        """Whether a value belongs to it; None if that cannot be told."""
        unknown = False
        for each in self.matchers:
            found = each(node, run)
            if found is False:
                return False
            unknown = unknown or found is None
        return None if unknown else True


def slicing(branch: Branch, make: MakeRules, library: Library, url: str) -> Group | None:
    """The check of an element's slices; None if there is nothing to check.

    Raises ProfileFault for a discriminator that cannot be used.
    """
    described = branch.element.get("slicing") or {}
    rules, ordered = str(described.get("rules") or "open"), bool(described.get("ordered"))
    slices = tuple(_slice(branch, each, make, library, url) for each in branch.slices.values())
    if rules == "open" and not ordered:
        if not any(each.rules or each.least or each.most is not None for each in slices):
            return None
        by_url = _by_url(branch, slices, library)
        if by_url is not None:
            return _of_extensions(branch.name, by_url, slices, url)
    return _general(branch.name, slices, rules, ordered, url)


def _slice(branch: Branch, slice_: Branch, make: MakeRules, library: Library, url: str) -> Slice:
    rules, group = make(slice_)
    least, most = cardinality(slice_)
    own = tuple(rules)
    if slice_.slice_name == _DEFAULT:
        return Slice(_DEFAULT, (), least, most, own, group)
    discriminators = (branch.element.get("slicing") or {}).get("discriminator") or ()
    matchers = tuple(matcher(slice_, each, library, url) for each in discriminators)
    if not matchers and branch.name.endswith("[x]"):
        implied = {"type": "type", "path": "$this"}
        matchers = (matcher(slice_, implied, library, url),)
    if not matchers:
        # Without discriminators a value belongs to the slice whose rules it keeps.
        matchers = (_keeping(own),)
    return Slice(str(slice_.slice_name), matchers, least, most, own, group)


def _keeping(rules: Sequence[Rule]) -> Matcher:
    def check_all(node: Node, run: Run) -> None:
        for rule in rules:
            rule(node, run)

    return lambda node, run: run.tried(lambda: check_all(node, run))


def cardinality(branch: Branch) -> tuple[int, int | None]:
    """How often an element may be there; None is `*`."""
    least, most = branch.element.get("min"), branch.element.get("max")
    return (
        least if isinstance(least, int) else 0,
        int(most) if isinstance(most, str) and most.isdigit() else None,
    )


def _general(name: str, slices: Sequence[Slice], rules: str, ordered: bool, url: str) -> Group:
    others = next((each for each in slices if each.name == _DEFAULT), None)
    named = [each for each in slices if each.name != _DEFAULT]
    order = {each.name: index for index, each in enumerate(named)}

    def check(parent: Node, nodes: Sequence[Node], run: Run) -> None:
        found: dict[str, list[Node]] = {each.name: [] for each in slices}
        untold: Counter[str] = Counter()
        last, ended = -1, False
        for node in nodes:
            member, possible = _find(named, node, run)
            if member is None and not possible:
                member = others
            if member is None:
                untold.update(possible)
                ended = ended or not possible
                if not possible and rules == "closed":
                    what = f"It is in none of the slices {', '.join(order)}."
                    run.report(node, "structure", what, (url, "slicing"))
                continue
            found[member.name].append(node)
            if member is others:
                continue
            if ended and rules == "openAtEnd":
                what = f"What is in no slice must come after {member.name}."
                run.report(node, "structure", what, (url, "slicing"))
            if ordered and order[member.name] < last:
                what = f"The slice {member.name} stands too late: the order is {', '.join(order)}."
                run.report(node, "structure", what, (url, "slicing"))
            last = max(last, order[member.name])
        for each in slices:
            _check_slice(name, each, parent, found[each.name], untold[each.name], run, url)

    return check


def _find(slices: Sequence[Slice], node: Node, run: Run) -> tuple[Slice | None, list[str]]:
    """The first slice a value belongs to; else the names of those it may belong to."""
    possible = []
    for each in slices:
        result = each.has(node, run)
        if result:
            return each, []
        if result is None:
            possible.append(each.name)
    return None, possible


def _check_slice(
    name: str, slice_: Slice, parent: Node, nodes: Sequence[Node], untold: int, run: Run, url: str
) -> None:
    count = len(nodes)
    stem = name.removesuffix("[x]")
    if count + untold < slice_.least:
        what = f"Expected at least {slice_.least} {stem} of the slice {slice_.name}, found {count}."
        run.report(parent, "required", what, (url, "min"), below=stem)
    if slice_.most is not None and count > slice_.most:
        what = f"Expected at most {slice_.most} {stem} of the slice {slice_.name}, found {count}."
        run.report(nodes[slice_.most], "structure", what, (url, "max"))
    for node in nodes:
        for rule in slice_.rules:
            rule(node, run)
    if slice_.group is not None and nodes:
        slice_.group(parent, nodes, run)


def _by_url(branch: Branch, slices: Sequence[Slice], library: Library) -> dict[str, Slice] | None:
    """The slices of extensions by `url`, if that is how they are told apart."""
    discriminators = (branch.element.get("slicing") or {}).get("discriminator") or ()
    how = [(each.get("type"), each.get("path")) for each in discriminators]
    if how not in ([("value", "url")], [("pattern", "url")]):
        return None
    found: dict[str, Slice] = {}
    for slice_, each in zip(slices, branch.slices.values(), strict=True):
        if slice_.name == _DEFAULT:
            return None
        for url in extension_urls(each, library):
            found.setdefault(url, slice_)
    return found


def _of_extensions(name: str, by_url: dict[str, Slice], slices: Sequence[Slice], url: str) -> Group:
    required = [each for each in slices if each.least]

    def check(parent: Node, nodes: Sequence[Node], run: Run) -> None:
        found: dict[str, list[Node]] = {}
        for node in nodes:
            member = by_url.get(str(node.value.get("url"))) if node.value is not None else None
            if member is not None:
                found.setdefault(member.name, []).append(node)
        for each in required:
            if each.name not in found:
                _check_slice(name, each, parent, (), 0, run, url)
        for each in slices:
            if each.name in found:
                _check_slice(name, each, parent, found[each.name], 0, run, url)

    return check
