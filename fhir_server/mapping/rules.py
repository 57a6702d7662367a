"""What mapping files say, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class MappingError(ValueError):
    """A mapping file that cannot be used; the message names the file and the rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: which element comes from where (`mappings/schema.json` says what each key means).

    label: the file, the mapping and the id of the rule, for people.
    guide: rows of the guide, as `segments/PID[Patient] PID-5`.
    """

    id: str
    label: str
    data: Json
    guide: tuple[str, ...]
    rules: tuple["Rule", ...] = ()

    def get(self, key: str) -> Any:
        """What the file says of a key; None if nothing."""
        return self.data.get(key)


@dataclass(frozen=True, slots=True)
class TypeMapping:
    """Rules that make a FHIR type of a segment or of a data type; `to` is that type."""

    name: str
    to: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class ResourceRules:
    """How one kind of resource is made of a message, known by, and brought to what is stored."""

    name: str
    data: Json

    @property
    def type(self) -> str:
        """The FHIR type."""
        return str(self.data["type"])

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments that it is made for, the most wanted first."""
        return texts(self.data.get("for"))


@dataclass(frozen=True, slots=True)
class Used:
    """A resource that messages of a structure give."""

    name: str
    mode: str | None = None
    when: str | None = None


@dataclass(frozen=True, slots=True)
class MessageRules:
    """What messages of a structure give."""

    name: str
    uses: tuple[Used, ...]


@dataclass(frozen=True, slots=True)
class Concept:
    """What a code is mapped to."""

    code: str
    display: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A concept map; `source` is the system of its own codes."""

    name: str
    source: str = ""
    default: str | None = None
    codes: Mapping[str, Concept] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sender:
    """What is known of who sends. role: what they are to orders, `placer` or `filler`."""

    zone: str | None = None
    authority: str | None = None
    role: str | None = None


def texts(value: Any) -> tuple[str, ...]:
    """One text or several, as several."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
