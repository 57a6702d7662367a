"""The resources that a message gives, each with what it is known by."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server.mapping.grouping import Group
from fhir_server.mapping.rules import ResourceRules

Resource = dict[str, Any]

# Of everything that is numbered within a message.
_SPACE = uuid.UUID("6f7e0b7c-7d0c-5d0a-9a0e-3c1a6f6b8f2e")


@dataclass(frozen=True, slots=True)
class Deletion:
    """An element that the message says to delete: all of it, or what `items` fits."""

    element: str
    items: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Find:
    """A reference to something that may be known already, by one of several identifiers.

    container, name: where the reference stands: `container[name]`.
    tokens: `system|value`, the best first.
    """

    container: Any
    name: str | int
    type: str
    tokens: tuple[str, ...]


@dataclass(slots=True)
class Entry:
    """A resource of a message.

    name: which of the resources of the rules. full_url: how the others refer to it.
    mode: `create` or `update`. tokens: its identifiers as `system|value`, the best first, by which
    it is looked for; none, and it is always new. key: what those know it by that depend on it.
    finds: references in it that may be resolved.
    """

    name: str
    rules: ResourceRules | None
    resource: Resource
    full_url: str
    mode: str = "create"
    tokens: tuple[str, ...] = ()
    key: str = ""
    deletions: list[Deletion] = field(default_factory=list)
    finds: list[Find] = field(default_factory=list)
    group: Group | None = None

    @property
    def type(self) -> str:
        """Its resource type."""
        return str(self.resource["resourceType"])


class Entries:
    """The entries of one message, in the order of their making.

    source: what tells messages apart, so that the same message gives the same URLs.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._entries: list[Entry] = []
        self._known: dict[tuple[str, str], Entry] = {}
        self._urls = 0
        self.current: Entry | None = None
        # Whether what a resource refers to stands within it, whatever it is known by.
        self.contain = False

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def new_url(self) -> str:
        """A URL for the next entry."""
        self._urls += 1
        return f"urn:uuid:{uuid.uuid5(_SPACE, f'{self._source}|{self._urls}')}"

    def known(self, type_: str, tokens: tuple[str, ...]) -> Entry | None:
        """An entry of this message that is the same resource."""
        return next((e for each in tokens if (e := self._known.get((type_, each)))), None)

    def add(self, entry: Entry) -> None:
        """Take an entry in."""
        self._entries.append(entry)
        for token in entry.tokens:
            self._known.setdefault((entry.type, token), entry)

    @staticmethod
    def around(group: Group, name: str) -> list[Entry]:
        """The entries of a name that were made for a group, for those in it, or for one around.

        Of a group around, those in other groups that repeat are somebody else's.
        """
        found = [each for inner in group.walk() for each in inner.made.get(name, ())]
        outer = group.parent
        while not found and outer is not None:
            found = list(outer.made.get(name, ()))
            for inner in outer.groups:
                if not found and not inner.grammar.repeats:
                    found = [each for one in inner.walk() for each in one.made.get(name, ())]
            outer = outer.parent
        return [each for each in found if isinstance(each, Entry)]

    def key_around(self, group: Group, name: str) -> str:
        """The key of the first entry of a name around a group; empty if there is none."""
        found = self.around(group, name)
        return found[0].key if found else ""
