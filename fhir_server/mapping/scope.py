"""Where a rule stands while it is carried out: the message, the group, the segment, the value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from fhir_server.mapping.grouping import Group
from fhir_server.mapping.rules import Table
from fhir_server.mapping.values import Segment, Value

if TYPE_CHECKING:
    from fhir_server.mapping.entries import Entries

Item = Value | str


@dataclass(frozen=True, slots=True)
class MappingIssue:
    """Something in a message that could not be mapped as it stands.

    severity: `information`, `warning` or `error`. code: of HL7 v2 table 0357, such as 103 for a
        value that is in no table. where: the place in the message. rule: the rule that met it.
    """

    severity: str
    code: str
    text: str
    where: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Which rule made an element, and from where in the message; empty for a constant."""

    rule: str
    where: str


@dataclass(slots=True)
class Run:
    """One message being mapped.

    variables: what `$name` gives. zone: of times that have none. authorities: the URI of an
        assigning authority, from its namespace, universal id and type.
    trace: for each container and the name or number in it the rule behind it; None if nobody asks.
    """

    root: Group
    variables: Mapping[str, str]
    zone: tzinfo
    authority: Callable[["Run", str, str, str], str]
    coding_system: Callable[[str], str]
    entries: "Entries"
    table: Callable[[str], Table]
    issues: list[MappingIssue] = field(default_factory=list)
    # Links between resources, with where they are set once all resources are there.
    pending: list[Any] = field(default_factory=list)
    # References to what was made of a value already, by mapping and text.
    made: dict[tuple[str, str], str] = field(default_factory=dict)
    trace: dict[tuple[int, str | int], Mark] | None = None

    def tell(self, severity: str, code: str, text: str, item: Any, rule: str = "") -> None:
        """Note an issue at a value."""
        where = item.where if isinstance(item, (Value, Segment)) else ""
        self.issues.append(MappingIssue(severity, code, text, where, rule))


class Scope:
    """What paths are read from.

    segment: the one that a rule goes through just now; it is the first of its name.
    value: what relative paths start from.
    lines: the segments that say one thing together, such as the OBX of a text.
    """

    __slots__ = ("group", "lines", "run", "segment", "value")

    def __init__(
        self,
        run: Run,
        group: Group,
        segment: Segment | None = None,
        value: Item | None = None,
        lines: tuple[Segment, ...] = (),
    ) -> None:
        self.run = run
        self.group = group
        self.segment = segment
        self.value = value
        self.lines = lines

    def at(self, value: Item) -> "Scope":
        """The same, with another value in hand."""
        return Scope(self.run, self.group, self.segment, value, self.lines)

    def find(self, name: str) -> Segment | None:
        """A segment of this group, of those in it, or of a group around it."""
        segment = self.segment
        if segment is not None and segment.name == name:
            return segment
        return self.group.find(name)

    def find_all(self, name: str, *, deep: bool = False) -> list[Segment]:
        """The segments of a name that belong to this group; else those around it.

        deep: those of all groups within this one.
        """
        if deep:
            return self.group.below.get(name, [])
        group: Group | None = self.group
        while group is not None:
            if found := group.near.get(name):
                return found
            group = group.parent
        return []
