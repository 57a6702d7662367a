"""What somebody may do, as data that everything which reads or writes carries with it."""

from dataclasses import dataclass
from functools import lru_cache

ANY = "*"
# What may be done with a type, in the order of SMART's letters: create, read, update, delete,
# search (SMART App Launch 2 scopes-and-launch-context.html#scopes-for-requesting-fhir-resources).
CREATE, READ, UPDATE, DELETE, SEARCH = LETTERS = "cruds"


@dataclass(frozen=True, slots=True)
class Grant:
    """Something that is granted.

    types: of the resources, or `ANY`.
    letters: of what may be done with them.
    where: a search query that the resources match, such as `category=laboratory`; empty for all.
    compartment: type and id of what the resources belong to; None for all.
    hidden: elements that are left out, such as `Patient.address`.
    """

    types: frozenset[str]
    letters: frozenset[str]
    where: str = ""
    compartment: tuple[str, str] | None = None
    hidden: frozenset[str] = frozenset()

    def covers(self, type_: str, letter: str) -> bool:
        """Whether it grants something of a type, if not all of it."""
        return letter in self.letters and (type_ in self.types or ANY in self.types)

    @property
    def whole(self) -> bool:
        """Whether it grants all resources of its types, with all their elements."""
        return not (self.where or self.compartment or self.hidden)


@dataclass(frozen=True, slots=True)
class Access:
    """What one principal may do.

    layers: each has to grant what is asked, by at least one of its grants: the policy of roles is
        one, the scopes of a token another. None at all: everything is granted.
    operations: names of the operations that may be called, such as `$everything`; None for all.
    """

    layers: tuple[tuple[Grant, ...], ...] = ()
    operations: frozenset[str] | None = None

    @property
    def unlimited(self) -> bool:
        """Whether nothing has to be looked at."""
        return not self.layers and self.operations is None

    def granting(self, type_: str, letter: str) -> tuple[tuple[Grant, ...], ...] | None:
        """The grants of each layer that speak of it; None if a layer has none."""
        return _granting(self.layers, type_, letter)

    def may(self, type_: str, letter: str) -> bool:
        """Whether it may be done with some resources of a type."""
        return not self.layers or self.granting(type_, letter) is not None

    def wholly(self, type_: str, letter: str) -> bool:
        """Whether it may be done with all resources of a type, of which nothing is hidden."""
        found = self.granting(type_, letter)
        return found is not None and all(any(each.whole for each in layer) for layer in found)


@lru_cache(maxsize=4096)
def _granting(
    layers: tuple[tuple[Grant, ...], ...], type_: str, letter: str
) -> tuple[tuple[Grant, ...], ...] | None:
    found = tuple(tuple(each for each in layer if each.covers(type_, letter)) for layer in layers)
    return found if all(found) else None


UNLIMITED = Access()
