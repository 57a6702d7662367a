"""SMART scopes as grants (SMART App Launch 2, scopes-and-launch-context.html).

Version 2 (`patient/Observation.rs?category=laboratory`) and version 1 (`user/*.read`).
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from fhir_server.security.access import ANY, Grant

PATIENT, USER, SYSTEM = "patient", "user", "system"
_SCOPE = re.compile(r"(patient|user|system)/([A-Z][A-Za-z]+|\*)\.([a-z]+|\*)(?:\?(.+))?", re.DOTALL)
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_VERSION_2 = re.compile(r"c?r?u?d?s?")


class InvalidScope(ValueError):
    """A scope of resources that is none: says what was expected."""


@lru_cache(maxsize=1024)
def parse_scope(text: str) -> tuple[str, Grant] | None:
    """The context of a scope (`patient`, `user` or `system`) and what it grants.

    None for a scope that is not about resources, such as `openid`. Raises `InvalidScope`.
    """
    context, slash, _ = text.partition("/")
    if not slash or context not in (PATIENT, USER, SYSTEM):
        return None
    match = _SCOPE.fullmatch(text)
    letters = _letters(match[3]) if match else ""
    if match is None or not letters:
        raise InvalidScope(
            f"{text!r} is no scope; expected one such as patient/Observation.rs or user/*.read"
        )
    where = match[4] or ""
    if where and not all(name and value for name, value in _pairs(where)):
        raise InvalidScope(f"{text!r}: expected a search query after the question mark")
    return match[1], Grant(frozenset({match[2]}), frozenset(letters), where)


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]


def _letters(text: str) -> str:
    if text in _VERSION_1:
        return _VERSION_1[text]
    return text if _VERSION_2.fullmatch(text) else ""


def scope_grants(
    scopes: Collection[str], patient: str, shared: frozenset[str], own: frozenset[str]
) -> Iterator[Grant]:
    """What the scopes of a token grant.

    patient: the id that `patient/` means; without one these scopes grant nothing. own: types that
    belong to a patient. shared: types that belong to nobody, which `patient/` lets read.
    """
    for text in sorted(scopes):
        found = parse_scope(text)
        if found is None:
            continue
        context, grant = found
        if context != PATIENT:
            yield grant
        elif patient:
            yield from _of_patient(grant, patient, shared, own)


def _of_patient(
    grant: Grant, patient: str, shared: frozenset[str], own: frozenset[str]
) -> Iterator[Grant]:
    every = ANY in grant.types
    personal = own if every else grant.types & own
    if personal:
        yield Grant(personal, grant.letters, grant.where, (("Patient", patient)))
    others, reading = (shared if every else grant.types & shared), grant.letters & {"r", "s"}
    if others and reading:
        yield Grant(others, reading, grant.where)
