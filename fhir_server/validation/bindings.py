"""Codes of required bindings (R4 terminologies.html#required)."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from fhir_server.outcome import Issue
from fhir_server.validation.found import Check, Found, Walk, quoted, shown
from fhir_server.validation.primitives import code

Systems = Mapping[str, frozenset[str]]
_MOST_SHOWN = 10


def bound_code(codes: frozenset[str]) -> Check:
    """A `code` that must be one of `codes`."""

    def check(value: Any, container: Any, key: Any, walk: Walk) -> Found:
        if type(value) is str and value in codes:
            return None
        found = code(value, container, key, walk)
        if found is not None:
            return found
        return [Issue("code-invalid", f"Expected {_one_of(codes)}, found {quoted(value)}.")]

    return check


def bound_concept(content: Check, systems: Systems) -> Check:
    """A CodeableConcept of which one coding must be in the value set; text alone is too little.

    One with nothing but extensions says why there is no concept.
    """

    def check(value: Any, container: Any, key: Any, walk: Walk) -> Found:
        found = content(value, container, key, walk)
        codings = _codings(value)
        if codings is None or any(_is_member(coding, systems) for coding in codings):
            return found
        expected = " or ".join(
            f"{_one_of(codes)} of {system}" for system, codes in sorted(systems.items())
        )
        given = ", ".join(_coding(coding) for coding in islice(codings, _MOST_SHOWN))
        what = f"Expected a coding {expected}, found {given or 'none'}."
        return [*(found or []), Issue("code-invalid", what)]

    return check


def _codings(concept: Any) -> list[Any] | None:
    """The codings a concept has to be judged by, if it can be judged."""
    if type(concept) is not dict:
        return None
    codings = concept.get("coding", [] if "text" in concept else None)
    return codings if type(codings) is list else None


def _is_member(coding: Any, systems: Systems) -> bool:
    if type(coding) is not dict:
        return False
    system, member = coding.get("system"), coding.get("code")
    if type(system) is not str or type(member) is not str:
        return False
    return member in systems.get(system, ())


def _coding(coding: Any) -> str:
    if type(coding) is not dict:
        return shown(coding)
    member, system = coding.get("code"), coding.get("system")
    given = quoted(member) if type(member) is str else "no code"
    return f"{given} of {quoted(system) if type(system) is str else 'no system'}"


def _one_of(codes: Collection[str]) -> str:
    shown = [quoted(each) for each in sorted(codes)[:_MOST_SHOWN]]
    if len(codes) > _MOST_SHOWN:
        shown.append(f"… ({len(codes)} codes)")
    return ("one of " if len(codes) > 1 else "") + ", ".join(shown)
