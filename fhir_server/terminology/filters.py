"""The filters of a value set: which concepts of a system fulfil them (R4 valueset.html#compose)."""

import time
from collections.abc import Callable, Iterator

from fhir_server.fhirpath.patterns import PatternRefused, compiled
from fhir_server.outcome import Refusal
from fhir_server.terminology import refusals
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.model import Filter

# Seconds for one pattern on all concepts of a system.
_PATTERN_TIME = 1.0
_CODE = frozenset({"concept", "code"})
# Asked of every system, whether it declares them or not (R4 codesystem-concept-properties.html).
_GIVEN = frozenset({"parent", "child", "display", "definition", "inactive", "notSelectable"})


def fulfilling(system: CodeSystemIndex, condition: Filter) -> set[int]:
    """The positions of the concepts that fulfil one filter.

    Raises a Refusal that names the filter for an operator, property or value that cannot be used.
    """
    apply = _OPERATORS.get(condition.op)
    if apply is None:
        raise _bad(system, condition, f"expected one of {', '.join(sorted(_OPERATORS))}")
    known = condition.property in _CODE | _GIVEN or condition.property in system.declared
    if not known:
        raise _bad(system, condition, _unknown(system, condition.property))
    return apply(system, condition)


def _unknown(system: CodeSystemIndex, name: str) -> str:
    if name in system.filters:
        return f"the system declares the filter '{name}' and does not say how it is computed"
    declared = ", ".join(sorted(_CODE | _GIVEN | system.declared.keys()))
    return f"the system has no property '{name}', only {declared}"


def _bad(system: CodeSystemIndex, condition: Filter, why: str) -> Refusal:
    text = f"{condition.property} {condition.op} {condition.value}"
    return refusals.bad_filter(system.url, text, why)


def _values(system: CodeSystemIndex, name: str, position: int) -> list[str]:
    """What a concept has under a property's name, as texts."""
    concept = system.concepts[position]
    if name in _CODE:
        return [concept.code]
    found = [each.text for each in system.properties(position) if each.code == name]
    if name == "display":
        found = [concept.display, *(each.value for each in system.designations(position))]
    elif name == "definition":
        found = [concept.definition]
    elif name == "inactive":
        found = [str(system.is_inactive(position)).lower()]
    elif name == "notSelectable":
        found = [str(system.is_abstract(position)).lower()]
    elif name in ("parent", "child"):
        order = system.relations
        related = order.parents(position) if name == "parent" else order.children(position)
        found = [system.concepts[other].code for other in related]
    return [value for value in found if value]


def _where(system: CodeSystemIndex, condition: Filter, test: Callable[[str], bool]) -> set[int]:
    """The concepts of which a value of the property passes a test."""
    name = condition.property
    return {
        position
        for position in range(len(system))
        if any(test(value) for value in _values(system, name, position))
    }


def _all(system: CodeSystemIndex) -> set[int]:
    return set(range(len(system)))


def _equals(system: CodeSystemIndex, condition: Filter) -> set[int]:
    if condition.property in _CODE:
        position = system.find(condition.value)
        return set() if position is None else {position}
    return _where(system, condition, condition.value.__eq__)


def _is_a(system: CodeSystemIndex, condition: Filter) -> set[int]:
    return _related(system, condition, {system.position(condition.value)}, below=True)


def _descendant_of(system: CodeSystemIndex, condition: Filter) -> set[int]:
    return _related(system, condition, set(), below=True)


def _generalizes(system: CodeSystemIndex, condition: Filter) -> set[int]:
    return _related(system, condition, {system.position(condition.value)}, below=False)


def _is_not_a(system: CodeSystemIndex, condition: Filter) -> set[int]:
    return _all(system) - _is_a(system, condition)


def _related(
    system: CodeSystemIndex, condition: Filter, itself: set[int], *, below: bool
) -> set[int]:
    """The concepts below or above the filter's value, or those with such a property value."""
    start = system.position(condition.value)
    order = system.hierarchy
    found = itself | (order.descendants(start) if below else order.ancestors(start))
    if condition.property in _CODE:
        return found
    codes = {system.concepts[position].code for position in found}
    return _where(system, condition, codes.__contains__)


def _in(system: CodeSystemIndex, condition: Filter) -> set[int]:
    wanted = set(_listed(condition))
    if condition.property in _CODE:
        found = (system.find(code) for code in wanted)
        return {position for position in found if position is not None}
    return _where(system, condition, wanted.__contains__)


def _not_in(system: CodeSystemIndex, condition: Filter) -> set[int]:
    return _all(system) - _in(system, condition)


def _listed(condition: Filter) -> Iterator[str]:
    return (value.strip() for value in condition.value.split(","))


def _exists(system: CodeSystemIndex, condition: Filter) -> set[int]:
    if condition.value not in ("true", "false"):
        raise _bad(system, condition, "expected true or false")
    having = _where(system, condition, bool)
    return having if condition.value == "true" else _all(system) - having


def _regex(system: CodeSystemIndex, condition: Filter) -> set[int]:
    end = time.monotonic() + _PATTERN_TIME

    def matches(value: str) -> bool:
        left = max(end - time.monotonic(), 1e-6)
        return pattern.fullmatch(value, timeout=left, concurrent=True) is not None

    try:
        pattern = compiled(condition.value)
        return _where(system, condition, matches)
    except PatternRefused as error:
        raise _bad(system, condition, str(error)) from None
    except TimeoutError:
        why = f"the pattern takes more than {_PATTERN_TIME:g} s"
        raise _bad(system, condition, why) from None


_OPERATORS: dict[str, Callable[[CodeSystemIndex, Filter], set[int]]] = {
    "=": _equals,
    "is-a": _is_a,
    "descendent-of": _descendant_of,
    "is-not-a": _is_not_a,
    "regex": _regex,
    "in": _in,
    "not-in": _not_in,
    "generalizes": _generalizes,
    "exists": _exists,
}
