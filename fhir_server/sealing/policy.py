"""Which elements are encrypted at rest: a policy is data, read from a file."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from fhir_server.packaged import folder
from fhir_server.spec import Definitions, TypeDefinition, definitions

DEFAULT = "default"
NARRATIVE = "text"

_EVERY = "*"

# What the server itself finds resources by, or has to know of them before it may open anything.
_NEVER = frozenset({"contained", "id", "implicitRules", "language", "meta"})
_NEVER_OF = {
    "List": frozenset({"entry"}),
    "Observation": frozenset({"code", "effective", "subject"}),
    "Patient": frozenset({"identifier"}),
}
_NEVER_TYPES = frozenset({"AuditEvent", "Bundle", "OperationOutcome", "Parameters"})


class PolicyError(ValueError):
    """A policy that cannot be carried out; says what is wrong."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    elements: dict[str, list[str]]
    about: str = ""


class Policy:
    """The elements that are sealed, by type; the narrative of such a type is one of them.

    elements: names as the type's definition has them, without `[x]`.
    """

    def __init__(
        self, elements: Mapping[str, Iterable[str]], known: Definitions | None = None
    ) -> None:
        self._known = known or definitions()
        self.elements = {
            type_: tuple(sorted(set(names))) for type_, names in sorted(elements.items()) if names
        }

    @cached_property
    def properties(self) -> Mapping[str, frozenset[str]]:
        """By type, the JSON properties in which its sealed elements stand."""
        return {
            type_: frozenset(_properties(self._known.types[type_], names))
            for type_, names in self.elements.items()
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.elements == other.elements

    def __hash__(self) -> int:
        return hash(tuple(self.elements.items()))

    def __bool__(self) -> bool:
        return bool(self.elements)

    def __or__(self, other: "Policy") -> "Policy":
        """What either of two seals."""
        types = {*self.elements, *other.elements}
        return Policy(
            {t: {*self.elements.get(t, ()), *other.elements.get(t, ())} for t in types},
            self._known,
        )


NOTHING = Policy({})


def read_policy(name: str, known: Definitions | None = None) -> Policy:
    """The policy of a file, or the one that comes with the server for `default`.

    Raises `PolicyError` for what cannot be read, and for elements that do not exist or may not be
    sealed.
    """
    path = folder("profiles") / "security" / "sealed.json" if name == DEFAULT else Path(name)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError) as error:
        raise PolicyError(f"the sealing policy {path} cannot be read: {error}") from None
    return checked(found.elements, known or definitions())


def checked(elements: Mapping[str, Iterable[str]], known: Definitions) -> Policy:
    """The policy that seals these elements, `*` for every type. Raises `PolicyError`."""
    found: dict[str, set[str]] = {}
    for type_, names in elements.items():
        for name in names:
            for each in _types(type_, name, known):
                found.setdefault(each, set()).add(name)
    for type_, chosen in found.items():
        if NARRATIVE in known.types[type_].elements:
            chosen.add(NARRATIVE)
    return Policy(found, known)


def _types(type_: str, name: str, known: Definitions) -> list[str]:
    if type_ == _EVERY:
        wanted = [each for each in sorted(known.resource_types) if not _refusal(each, name, known)]
        if not wanted:
            raise PolicyError(f"{_EVERY}.{name}: no type has such an element that may be sealed")
        return wanted
    if type_ not in known.resource_types:
        raise PolicyError(f"{type_}.{name}: {type_!r} is no resource type of R4")
    if refusal := _refusal(type_, name, known):
        raise PolicyError(f"{type_}.{name}: {refusal}")
    return [type_]


def _refusal(type_: str, name: str, known: Definitions) -> str:
    """Why an element cannot be sealed; empty if it can."""
    elements = known.types[type_].elements
    if name not in elements:
        return f"{type_} has no element {name!r}; expected one of {', '.join(elements)}"
    if type_ in _NEVER_TYPES:
        return f"elements of {type_} cannot be sealed"
    if "publisher" in elements:
        return f"{type_} defines something for everybody; its elements cannot be sealed"
    if name in _NEVER or name in _NEVER_OF.get(type_, ()):
        return "the server itself finds resources by it; it cannot be sealed"
    return ""


def _properties(type_: TypeDefinition, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        element = type_.elements[name]
        keys = [name]
        if element.choice:
            keys = [name + each.code[0].upper() + each.code[1:] for each in element.types]
        for key in keys:
            yield key
            yield f"_{key}"
