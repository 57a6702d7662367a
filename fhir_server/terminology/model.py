"""CodeSystem, ValueSet and ConceptMap as the engine reads them: decoded straight from JSON.

Only elements with a meaning for the engine have a field; the rest is passed over. The resources
were checked when they were stored, so the types here are those of R4.
"""

from decimal import Decimal
from typing import TypeAlias

import msgspec


class _Element(msgspec.Struct, gc=False, rename="camel"):
    """Trees without cycles: the garbage collector need not look at 100,000 concepts."""


class Coding(_Element):
    """A code of a system (R4 datatypes.html#Coding)."""

    system: str = ""
    version: str = ""
    code: str = ""
    display: str = ""


class Designation(_Element):
    """Another text for a concept: another language, or another use."""

    value: str = ""
    language: str = ""
    use: Coding | None = None


PropertyValue: TypeAlias = str | bool | int | Decimal | Coding


class Property(_Element):
    """What a concept says of itself under a name that the code system declares."""

    code: str = ""
    value_code: str | None = None
    value_string: str | None = None
    value_date_time: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    value_decimal: Decimal | None = None
    value_coding: Coding | None = None

    @property
    def typed(self) -> tuple[str, PropertyValue] | None:
        """The name of the value's element, such as `valueCode`, and the value."""
        for name, value in (
            ("valueCode", self.value_code),
            ("valueString", self.value_string),
            ("valueDateTime", self.value_date_time),
            ("valueBoolean", self.value_boolean),
            ("valueInteger", self.value_integer),
            ("valueDecimal", self.value_decimal),
            ("valueCoding", self.value_coding),
        ):
            if value is not None:
                return name, value
        return None

    @property
    def text(self) -> str:
        """The value as a filter compares it: a code for a Coding, `true` for a boolean."""
        typed = self.typed
        if typed is None:
            return ""
        value = typed[1]
        if isinstance(value, Coding):
            return value.code
        return str(value).lower() if isinstance(value, bool) else str(value)


class Concept(_Element):
    """A concept with the concepts below it (R4 codesystem.html#concept)."""

    code: str = ""
    display: str = ""
    definition: str = ""
    designation: tuple[Designation, ...] = ()
    property: tuple[Property, ...] = ()
    concept: tuple["Concept", ...] = ()


class PropertyDeclaration(_Element):
    """A property that concepts may have; `uri` says what it means."""

    code: str = ""
    uri: str = ""
    type: str = ""


class FilterDeclaration(_Element):
    """A filter that the code system says value sets may use."""

    code: str = ""


class CodeSystem(_Element):
    """R4 codesystem.html."""

    url: str = ""
    version: str = ""
    name: str = ""
    title: str = ""
    language: str = ""
    case_sensitive: bool | None = None
    hierarchy_meaning: str = ""
    content: str = "complete"
    supplements: str = ""
    count: int | None = None
    filter: tuple[FilterDeclaration, ...] = ()
    property: tuple[PropertyDeclaration, ...] = ()
    concept: tuple[Concept, ...] = ()


class ListedConcept(_Element):
    """A code that a value set names itself, with texts of the value set's own."""

    code: str = ""
    display: str = ""
    designation: tuple[Designation, ...] = ()


class Filter(_Element):
    """A condition on a property (R4 valueset.html#compose)."""

    property: str = ""
    op: str = ""
    value: str = ""


class ConceptSet(_Element):
    """One `include` or `exclude`."""

    system: str = ""
    version: str = ""
    concept: tuple[ListedConcept, ...] = ()
    filter: tuple[Filter, ...] = ()
    value_set: tuple[str, ...] = ()


class Compose(_Element):
    """What a value set is made of."""

    locked_date: str = ""
    inactive: bool | None = None
    include: tuple[ConceptSet, ...] = ()
    exclude: tuple[ConceptSet, ...] = ()


class Contains(_Element):
    """A code of a stored expansion, with those below it."""

    system: str = ""
    version: str = ""
    abstract: bool = False
    code: str = ""
    display: str = ""
    designation: tuple[Designation, ...] = ()
    contains: tuple["Contains", ...] = ()


class StoredExpansion(_Element):
    """The expansion that a ValueSet carries; used only when it has no compose."""

    total: int | None = None
    contains: tuple[Contains, ...] = ()


class Extension(_Element):
    """An extension whose value is a canonical."""

    url: str = ""
    value_canonical: str = ""


class ValueSet(_Element):
    """R4 valueset.html."""

    url: str = ""
    version: str = ""
    name: str = ""
    title: str = ""
    extension: tuple[Extension, ...] = ()
    compose: Compose | None = None
    expansion: StoredExpansion | None = None


class Dependency(_Element):
    """A further element that a mapping depends on or gives."""

    property: str = ""
    system: str = ""
    value: str = ""
    display: str = ""


class MapTarget(_Element):
    """One thing that a code maps to; `equivalence` is read from the target to the source."""

    code: str = ""
    display: str = ""
    equivalence: str = ""
    comment: str = ""
    depends_on: tuple[Dependency, ...] = ()
    product: tuple[Dependency, ...] = ()


class MapElement(_Element):
    """A code and what it maps to."""

    code: str = ""
    display: str = ""
    target: tuple[MapTarget, ...] = ()


class Unmapped(_Element):
    """What to do with a code that the group does not mention."""

    mode: str = ""
    code: str = ""
    display: str = ""
    url: str = ""


class MapGroup(_Element):
    """Mappings from one system to another."""

    source: str = ""
    source_version: str = ""
    target: str = ""
    target_version: str = ""
    element: tuple[MapElement, ...] = ()
    unmapped: Unmapped | None = None


class ConceptMap(_Element):
    """R4 conceptmap.html."""

    url: str = ""
    version: str = ""
    name: str = ""
    source_uri: str = ""
    source_canonical: str = ""
    target_uri: str = ""
    target_canonical: str = ""
    group: tuple[MapGroup, ...] = ()
