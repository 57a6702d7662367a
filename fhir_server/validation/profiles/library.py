"""StructureDefinitions by canonical, with their snapshots as trees."""

import re
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any

from fhir_server.spec import Definitions
from fhir_server.validation.profiles.base import base_definition
from fhir_server.validation.profiles.snapshots import generated
from fhir_server.validation.profiles.tree import Branch, Json, ProfileFault, tree

# Takes a canonical, `url` or `url|version`; gives the StructureDefinition, None if there is none.
FindDefinition = Callable[[str], Mapping[str, Any] | None]

# Bases below bases; real ones have about five.
_MOST_BASES = 50
# Canonicals that lead nowhere, as resources name them without limit.
_MOST_UNKNOWN = 10_000


class Structure:
    """One StructureDefinition ready to be used.

    url: without a version. type: the type it constrains.
    definition: the resource itself. root: its snapshot.
    """

    __slots__ = ("definition", "root", "type", "url")

    def __init__(self, definition: Json, root: Branch) -> None:
        self.definition = definition
        self.root = root
        self.url = str(definition.get("url"))
        self.type = str(definition.get("type")).rpartition("/")[2]


class Library:
    """All StructureDefinitions of one generation; a new one is made when they change.

    find: where they are; R4's own types are known without it.
    """

    def __init__(self, find: FindDefinition, definitions: Definitions) -> None:
        self._find = find
        self._definitions = definitions
        self._structures: dict[str, Structure | ProfileFault] = {}
        self._unknown: set[str] = set()
        self._making: list[str] = []
        self._lock = RLock()

    def structure(self, canonical: str) -> Structure | None:
        """The definition of a canonical, None if it is not known.

        Raises ProfileFault for one that is known and cannot be used.
        """
        known = self._structures.get(canonical)
        if known is None:
            if canonical in self._unknown:
                return None
            known = self._made(canonical)
        if isinstance(known, ProfileFault):
            raise known.with_traceback(None)
        return known

    def snapshot(self, canonical: str) -> Branch | None:
        """The tree of a definition's snapshot, None if it is not known. Raises ProfileFault."""
        structure = self.structure(canonical)
        return structure.root if structure else None

    def _made(self, canonical: str) -> Structure | ProfileFault | None:
        with self._lock:
            if canonical in self._structures:
                return self._structures[canonical]
            definition = self._definition(canonical)
            if definition is None:
                if len(self._unknown) < _MOST_UNKNOWN:
                    self._unknown.add(canonical)
                return None
            made: Structure | ProfileFault
            try:
                made = Structure(definition, self._root(definition, canonical))
            except ProfileFault as fault:
                made = fault
            # What stands on a definition that is being made is faulty only from there.
            if not (isinstance(made, ProfileFault) and self._making):
                self._structures[canonical] = made
            return made

    def _definition(self, canonical: str) -> Json | None:
        found = self._find(canonical)
        if found is not None and found.get("resourceType", "StructureDefinition") in (
            "StructureDefinition",
        ):
            return dict(found)
        return base_definition(self._definitions, canonical)

    def _root(self, definition: Json, canonical: str) -> Branch:
        if canonical in self._making or len(self._making) >= _MOST_BASES:
            chain = " → ".join((*self._making[-5:], canonical))
            raise ProfileFault(canonical, f"Its bases never end: {chain}.")
        self._making.append(canonical)
        try:
            elements = (definition.get("snapshot") or {}).get("element")
            if elements:
                return tree(canonical, elements)
            return generated(definition, self.snapshot, self._definitions)
        except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
            raise ProfileFault(canonical, f"It is not built as R4 defines it: {error}") from None
        finally:
            self._making.pop()


_CANONICAL = re.compile(r"[^|#]+")


def plain(canonical: str) -> str:
    """A canonical without version and fragment."""
    match = _CANONICAL.match(canonical)
    return match.group() if match else canonical
