"""How a slice tells its values from others (R4 profiling.html#discriminator)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.nodes import elements
from fhir_server.fhirpath.references import target_type
from fhir_server.validation.profiles.bindings import inside
from fhir_server.validation.profiles.library import Library, plain
from fhir_server.validation.profiles.rules import is_of
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.tree import Branch, Json, ProfileFault
from fhir_server.validation.profiles.values import equals, given, matches

# Whether a value belongs to a slice; None if that cannot be told.
Matcher = Callable[[Node, Run], bool | None]

_STEP = re.compile(
    r"\$this|resolve\(\)|(extension)\(\s*['\"]([^'\"]+)['\"]\s*\)|(ofType|as)\(\s*([\w.]+)\s*\)"
    r"|`?([A-Za-z_]\w*)`?(?:\[x\])?"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a discriminator's path: `child`, `extension`, `resolve` or `type`."""

    kind: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a discriminator's path ends in the definition of a slice.

    branches: what is said there, by this profile or by those of the types on the way.
    types, profiles: what the end may be.
    """

    branches: tuple[Branch, ...]
    types: tuple[str, ...] = ()
    profiles: tuple[str, ...] = field(default=())


def steps(path: str, url: str) -> tuple[Step, ...]:
    """The steps of a path. Raises ProfileFault for what a discriminator may not use."""
    found, position = [], 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or (match.end() < len(path) and path[match.end()] != "."):
            raise ProfileFault(url, f"The discriminator {path} is not understood.")
        position = match.end() + 1
        text = match.group()
        if text == "resolve()":
            found.append(Step("resolve"))
        elif match.group(1):
            found.append(Step("extension", match.group(2)))
        elif match.group(3):
            found.append(Step("type", match.group(4).rpartition(".")[2]))
        elif text != "$this":
            found.append(Step("child", match.group(5)))
    return tuple(found)


# in the value


def reached(node: Node, path: tuple[Step, ...], run: Run) -> list[Node] | None:
    """What a path leads to from a value; None if a reference on it cannot be followed."""
    nodes = [node]
    for step in path:
        following: list[Node] = []
        for each in nodes:
            found = _one_step(each, step, run)
            if found is None:
                return None
            following += found
        nodes = following
    return nodes


def _one_step(node: Node, step: Step, run: Run) -> list[Node] | None:
    if step.kind == "resolve":
        target = run.target(node)
        return None if target is None else [target]
    if step.kind == "type":
        return [node] if is_of(node.kind, step.name) else []
    child = node.kind.children["extension" if step.kind == "extension" else step.name]
    found = list(elements(node, child)) if child is not None else []
    if step.kind == "extension":
        return [each for each in found if each.value.get("url") == step.name]
    return found


# in the definition


def target_of(slice_: Branch, path: tuple[Step, ...], library: Library) -> Target:
    """What the definition of a slice says where a path ends."""
    branches = [slice_]
    types, profiles = _types(slice_), _profiles(slice_, "profile")
    for at, step in enumerate(path):
        following: list[Branch] = []
        for branch in branches:
            following += _one_down(branch, step, library)
        if step.kind == "resolve":
            profiles = tuple(each for branch in branches for each in _profiles(branch, _TARGET))
            types = ()
        else:
            types = tuple(code for branch in following for code in _types(branch))
            profiles = tuple(each for branch in following for each in _profiles(branch, "profile"))
        if step.kind == "type":
            types = (step.name,)
        branches = following
        if not branches and at < len(path) - 1:
            break
    return Target(tuple(branches), types, profiles)


_TARGET = "targetProfile"


def _one_down(branch: Branch, step: Step, library: Library) -> Iterator[Branch]:
    if step.kind == "resolve":
        for canonical in _profiles(branch, _TARGET):
            root = library.snapshot(canonical)
            if root is not None:
                yield root
        return
    if step.kind == "type":
        yield from _of_type(branch, step.name)
        return
    name = "extension" if step.kind == "extension" else step.name
    for own in (branch, *_roots(branch, library)):
        child = own.children.get(name) or own.children.get(name + "[x]")
        if child is None:
            continue
        if step.kind == "child":
            yield child
            # What only a slice of it says counts as well, when that slice must be there.
            yield from (each for each in child.slices.values() if each.element.get("min"))
        else:
            yield from (each for each in child.slices.values() if step.name in _urls(each, library))


def _of_type(branch: Branch, name: str) -> Iterator[Branch]:
    sliced = [each for each in branch.slices.values() if _types(each) == (name,)]
    yield from sliced or [branch]


def _roots(branch: Branch, library: Library) -> Iterator[Branch]:
    for canonical in _profiles(branch, "profile"):
        root = library.snapshot(canonical)
        if root is not None:
            yield root


def _types(branch: Branch) -> tuple[str, ...]:
    return tuple(str(each.get("code")) for each in branch.element.get("type") or ())


def _profiles(branch: Branch, key: str) -> tuple[str, ...]:
    types = branch.element.get("type") or ()
    return tuple(each for type_ in types for each in type_.get(key) or ())


def _urls(slice_: Branch, library: Library) -> set[str]:
    """The `url`s of the extensions that a slice is for."""
    urls = {plain(canonical) for canonical in _profiles(slice_, "profile")}
    child = slice_.children.get("url")
    fixed = given(child.element, "fixed")[0] if child is not None else None
    return urls | ({fixed} if isinstance(fixed, str) else set())


def extension_urls(slice_: Branch, library: Library) -> frozenset[str]:
    """The `url`s of the extensions that a slice is for; empty if it does not say."""
    return frozenset(_urls(slice_, library))


# matching


def matcher(slice_: Branch, discriminator: Json, library: Library, url: str) -> Matcher:
    """Whether a value belongs to a slice by one discriminator.

    Raises ProfileFault when the slice does not say what the discriminator asks for.
    """
    kind, text = str(discriminator.get("type")), str(discriminator.get("path"))
    path = steps(text, url)
    target = target_of(slice_, path, library)
    if kind == "exists":
        return _exists(target, path)
    if kind == "type":
        return _type(target, path)
    if kind == "profile":
        return _profile(target, path)
    if kind not in ("value", "pattern"):
        raise ProfileFault(url, f"There is no discriminator of the type {kind}.")
    tests = [test for branch in target.branches for test in _tests(branch)]
    urls = _urls(slice_, library) if text == "url" else set()
    if not tests and urls:
        tests = [lambda node, _run: node.value in urls]
    if not tests:
        where = f"the slice {slice_.slice_name} of {slice_.name}"
        raise ProfileFault(url, f"The discriminator {text} finds no value in {where}.")
    return _value(tests, path)


def _tests(branch: Branch) -> list[Matcher]:
    """Ways to tell by a value: what is fixed there, else what is bound, else what is below."""
    fixed, is_fixed = given(branch.element, "fixed")
    pattern, is_pattern = given(branch.element, "pattern")
    if is_fixed:
        return [lambda node, _run: equals(node.value, fixed)]
    if is_pattern:
        return [lambda node, _run: matches(node.value, pattern)]
    below = [
        (Step("child", child.name.removesuffix("[x]")), tests)
        for child in _said_of_children(branch)
        for tests in [_tests(child)]
        if tests and (child.element.get("min") or not _bound(child.element))
    ]
    binding = branch.element.get("binding") or {}
    if _bound(branch.element):
        value_set = str(binding.get("valueSet"))
        return [lambda node, run: inside(node, value_set, run)]
    return [_below(below)] if below else []


def _said_of_children(branch: Branch) -> Iterator[Branch]:
    for child in branch.children.values():
        yield child
        yield from (each for each in child.slices.values() if each.element.get("min"))


def _bound(element: Json) -> bool:
    binding = element.get("binding") or {}
    return binding.get("strength") == "required" and "valueSet" in binding


def _below(parts: list[tuple[Step, list[Matcher]]]) -> Matcher:
    matchers = [_value(tests, (step,)) for step, tests in parts]
    return lambda node, run: _all(each(node, run) for each in matchers)


def _value(tests: list[Matcher], path: tuple[Step, ...]) -> Matcher:
    def check(node: Node, run: Run) -> bool | None:
        nodes = reached(node, path, run) if path else [node]
        if nodes is None:
            return None
        return _any(test(each, run) for each in nodes for test in tests)

    return check


def _exists(target: Target, path: tuple[Step, ...]) -> Matcher:
    required = any(branch.element.get("min") for branch in target.branches)
    forbidden = any(branch.element.get("max") == "0" for branch in target.branches)

    def check(node: Node, run: Run) -> bool | None:
        nodes = reached(node, path, run)
        if nodes is None:
            return None
        if forbidden:
            return not nodes
        return bool(nodes) if required else True

    return check


def _type(target: Target, path: tuple[Step, ...]) -> Matcher:
    followed = bool(path) and path[-1].kind == "resolve"

    def check(node: Node, run: Run) -> bool | None:
        if followed:
            codes = [run.profiles.type_of(each) for each in target.profiles]
            before = reached(node, path[:-1], run)
            if before is None:
                return None
            names = [_resolved_type(each, run) for each in before]
            if None in names:
                return None
            return any(
                run.profiles.definitions.is_a(name, code)
                for name in names
                for code in codes
                if name and code
            )
        nodes = reached(node, path, run)
        if nodes is None:
            return None
        return any(is_of(each.kind, code) for each in nodes for code in target.types)

    return check


def _resolved_type(reference: Node, run: Run) -> str | None:
    target = run.target(reference)
    if target is not None:
        return target.kind.name
    return target_type(reference.value, reference.resource().value)


def _profile(target: Target, path: tuple[Step, ...]) -> Matcher:
    def check(node: Node, run: Run) -> bool | None:
        nodes = reached(node, path, run)
        if nodes is None:
            return None
        return _any(run.conforms(each, name) for each in nodes for name in target.profiles)

    return check


def _any(results: Iterator[bool | None]) -> bool | None:
    unknown = False
    for result in results:
        if result:
            return True
        unknown = unknown or result is None
    return None if unknown else False


def _all(results: Iterator[bool | None]) -> bool | None:
    unknown = False
    for result in results:
        if result is False:
            return False
        unknown = unknown or result is None
    return None if unknown else True
