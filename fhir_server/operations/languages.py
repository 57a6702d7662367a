"""Texts of a concept in a language that was asked for."""

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.terminology.model import Coding, Designation

LANGUAGES = "urn:ietf:bcp:47"


def display(given: str, designations: Iterable[Designation], language: str) -> str:
    """The display in a language (BCP 47), or the given one if there is none in it.

    The very language stands before one of its regions, and that before the language of a region.
    """
    if not language:
        return given
    wanted = language.lower()
    best = (3, given)
    for each in designations:
        found = each.language.lower()
        if found == wanted:
            rank = 0
        elif found.startswith(f"{wanted}-"):
            rank = 1
        elif found and wanted.startswith(f"{found}-"):
            rank = 2
        else:
            continue
        if rank < best[0]:
            best = (rank, each.value)
    return best[1]


def designation(each: Designation) -> dict[str, Any]:
    """A designation as R4 writes it in ValueSets."""
    found: dict[str, Any] = {}
    if each.language:
        found["language"] = each.language
    if each.use is not None:
        found["use"] = coding(each.use)
    return found | {"value": each.value}


def chosen(designations: Iterable[Designation], tokens: Iterable[str]) -> Iterator[Designation]:
    """The designations of one of several languages or uses, each `system|code`."""
    wanted = set(tokens)
    for each in designations:
        use = each.use or Coding()
        if {f"{LANGUAGES}|{each.language}", f"{use.system}|{use.code}", use.code or None} & wanted:
            yield each


def coding(given: Coding) -> dict[str, str]:
    """A Coding as R4 writes it."""
    parts = {name: getattr(given, name) for name in ("system", "version", "code", "display")}
    return {name: part for name, part in parts.items() if part}
