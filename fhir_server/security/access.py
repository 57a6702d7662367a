"""What somebody may do, as data that everything which reads or writes carries with it."""

from collections.abc import Collection
from dataclasses import dataclass, field
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
    hidden: elements that are left out, such as `Patient.address`, and extensions by their URL, as
        `Patient.extension:http://example.org/x`.
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
    def every(self) -> bool:
        """Whether it grants all resources of its types."""
        return not (self.where or self.compartment)

    @property
    def whole(self) -> bool:
        """Whether it grants all resources of its types, with all their elements."""
        return self.every and not self.hidden


@dataclass(frozen=True, slots=True)
class Access:
    """What one principal may do.

    layers: each has to grant what is asked, by at least one of its grants: the policy of roles is
        one, the scopes of a token another. None at all: everything is granted.
    operations: names of the operations that may be called, such as `$everything`; None for all.
    """

    layers: tuple[tuple[Grant, ...], ...] = ()
    operations: frozenset[str] | None = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # What is made of it is looked up several times a request, and a grant has many parts.
        object.__setattr__(self, "_hash", hash((self.layers, self.operations)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def unlimited(self) -> bool:
        """Whether nothing has to be looked at."""
        return not self.layers and self.operations is None

    def granting(self, type_: str, letter: str) -> tuple[tuple[Grant, ...], ...] | None:
        """The grants of each layer that speak of it; None if a layer has none."""
        return _granting(self, type_, letter)

    def may(self, type_: str, letter: str) -> bool:
        """Whether it may be done with some resources of a type."""
        return not self.layers or self.granting(type_, letter) is not None

    def scoped(self, type_: str, letters: Collection[str]) -> bool:
        """Whether the scopes of a token, if it has any, grant one of these."""
        return all(
            any(grant.covers(type_, letter) for grant in layer for letter in letters)
            for layer in self.layers[1:]
        )

    def everyone(self, type_: str, letter: str) -> bool:
        """Whether it may be done with all resources of a type, some elements of which may hide."""
        return _everyone(self, type_, letter)

    def wholly(self, type_: str, letter: str) -> bool:
        """Whether it may be done with all resources of a type, of which nothing is hidden."""
        found = self.granting(type_, letter)
        return found is not None and all(any(each.whole for each in layer) for layer in found)

    @property
    def everything(self) -> bool:
        """Whether all resources of all types may be read, with all their elements."""
        return self.wholly(ANY, READ) and self.wholly(ANY, SEARCH)

    @property
    def hiding(self) -> tuple[str, ...]:
        """The types of which some elements are hidden."""
        return _hiding(self)

    def hidden(self, type_: str) -> frozenset[str]:
        """The elements of a type that are hidden, by name."""
        return _hidden(self, type_)


@lru_cache(maxsize=4096)
def _granting(access: Access, type_: str, letter: str) -> tuple[tuple[Grant, ...], ...] | None:
    found = tuple(
        tuple(each for each in layer if each.covers(type_, letter)) for layer in access.layers
    )
    return found if all(found) else None


@lru_cache(maxsize=4096)
def _everyone(access: Access, type_: str, letter: str) -> bool:
    found = access.granting(type_, letter)
    return found is not None and all(any(each.every for each in layer) for layer in found)


@lru_cache(maxsize=1024)
def _hiding(access: Access) -> tuple[str, ...]:
    paths = {path for layer in access.layers for grant in layer for path in grant.hidden}
    types = {path.partition(".")[0] for path in paths}
    return tuple(sorted(type_ for type_ in types if _hidden(access, type_)))


@lru_cache(maxsize=4096)
def _hidden(access: Access, type_: str) -> frozenset[str]:
    """What some grant on a type hides, unless another of its layer shows all of every resource."""
    found: set[str] = set()
    for layer in access.layers:
        told = [each for each in layer if each.covers(type_, READ) or each.covers(type_, SEARCH)]
        if not any(each.whole for each in told):
            found |= {path for each in told for path in each.hidden}
    start = f"{type_}."
    return frozenset(path[len(start) :] for path in found if path.startswith(start))


UNLIMITED = Access()
