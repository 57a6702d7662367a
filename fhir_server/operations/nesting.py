"""An expansion as a tree: what is a kind of something stands below it."""

from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.expansion import Expansion
from fhir_server.terminology.members import Member

Entry = dict[str, Any]


def nested(expansion: Expansion, entry: Callable[[Member], Entry]) -> list[Entry]:
    """Each code below the nearest one above it that is in the expansion, else at the top.

    Of several that are as near, the first in the code system has it, so that it stands there once.
    """
    entries: dict[tuple[str, str], Entry] = {}
    above: dict[tuple[str, str], Iterator[str]] = {}
    for block in expansion.blocks:
        for code in block.codes:
            name = (block.selection.system, code)
            entries[name] = entry(block.selection.member(code))
            if block.selection.index is not None:
                above[name] = _above(block.selection.index, code)
    roots = []
    for name, each in entries.items():
        system = name[0]
        parents = (entries.get((system, code)) for code in above.get(name, ()))
        parent = next((found for found in parents if found is not None), None)
        if parent is None:
            roots.append(each)
        else:
            parent.setdefault("contains", []).append(each)
    return roots


def _above(index: CodeSystemIndex, code: str) -> Iterator[str]:
    """The codes above one, the nearest first."""
    start = index.find(code)
    seen: set[int] = set()
    edge = [] if start is None else [start]
    while edge:
        found = [up for at in edge for up in index.relations.parents(at) if up not in seen]
        edge = list(dict.fromkeys(found))
        seen.update(edge)
        yield from (index.concepts[at].code for at in edge)
