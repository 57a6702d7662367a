"""The segments of a message in the groups of its structure, whatever their order.

HL7 v2 2.12: a message structure is segments in order, in groups that may repeat. Real messages
leave out what is required and hold what is not foreseen, so nothing is refused here: a segment
goes where it fits best, and one that fits nowhere stays in the group that is open.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fhir_server.mapping.values import Segment

_TOKEN = re.compile(r"\s*(?:([A-Z0-9_]+)(\()?|(\))|(\*))")


@dataclass(slots=True)
class Grammar:
    """A group of a message structure, or one of its segments, which has no members."""

    name: str
    repeats: bool = False
    members: list["Grammar"] = field(default_factory=list)
    holds: frozenset[str] = frozenset()

    @property
    def anchor(self) -> str:
        """The segment that a group begins with."""
        return self.members[0].anchor if self.members else self.name


def read_grammar(name: str, text: str) -> Grammar:
    """Read a structure such as `MSH PID ORDER(ORC OBR NTE*)*`. Raises ValueError."""
    root = Grammar(name)
    stack, at, last = [root], 0, None
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{name}: {text[at : at + 20]!r} is no segment or group")
        at = match.end()
        if match[1]:
            last = Grammar(match[1])
            stack[-1].members.append(last)
            if match[2]:
                stack.append(last)
        elif match[3]:
            if len(stack) == 1:
                raise ValueError(f"{name}: a group ends that did not begin")
            last = stack.pop()
        elif last is not None:
            last.repeats = True
    if len(stack) > 1:
        raise ValueError(f"{name}: the group {stack[-1].name} does not end")
    _complete(root)
    return root


def _complete(grammar: Grammar) -> None:
    for member in grammar.members:
        _complete(member)
    held = (member.holds for member in grammar.members)
    grammar.holds = frozenset().union(*held) if grammar.members else frozenset({grammar.name})


class Group:
    """A group of a message, once for each time that it comes.

    own: its segments by name. near: those too of its groups that come once.
    below: all in it, however deep. made: the resources that were made for it, by name.
    """

    __slots__ = (
        "_found", "at", "below", "grammar", "groups", "made", "near", "own", "parent", "taken",
    )  # fmt: skip

    def __init__(self, grammar: Grammar, parent: "Group | None" = None) -> None:
        self.grammar = grammar
        self.parent = parent
        self.groups: list[Group] = []
        self.own: dict[str, list[Segment]] = {}
        self.near: dict[str, list[Segment]] = {}
        self.below: dict[str, list[Segment]] = {}
        self.made: dict[str, list[object]] = {}
        self._found: dict[str, Segment | None] = {}
        # Where the next segment is looked for, and whether one stands there already.
        self.at = 0
        self.taken = False

    @property
    def name(self) -> str:
        """The name of the group; of the outermost, that of the structure."""
        return self.grammar.name

    def add(self, segment: Segment) -> None:
        """Take a segment into this group, known to all around it."""
        name = segment.name
        self.own.setdefault(name, []).append(segment)
        group: Group | None = self
        near = True
        while group is not None:
            if near:
                group.near.setdefault(name, []).append(segment)
            group.below.setdefault(name, []).append(segment)
            near = near and not group.grammar.repeats
            group = group.parent

    def find(self, name: str) -> Segment | None:
        """The first segment of a name in this group, else in a group around it."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> Segment | None:
        group: Group = self
        found = group.near.get(name) or group.below.get(name)
        while not found and group.parent is not None:
            group = group.parent
            found = group.near.get(name)
        return found[0] if found else None

    def open(self, grammar: Grammar) -> "Group":
        """Begin a group in this one."""
        group = Group(grammar, self)
        self.groups.append(group)
        return group

    def walk(self) -> Iterator["Group"]:
        """This group and all in it, in the order of the message."""
        yield self
        for group in self.groups:
            yield from group.walk()


def grouped(
    grammar: Grammar, segments: Sequence[Segment]
) -> tuple[Group, list[tuple[Group, Segment]]]:
    """The segments of a message in groups: the outermost, and each segment with its own."""
    root = current = Group(grammar)
    placed = []
    for segment in segments:
        current = _group_for(current, segment.name)
        current.add(segment)
        placed.append((current, segment))
    return root, placed


def _group_for(current: Group, name: str) -> Group:
    for find in (_in_order, _direct, _anywhere):
        group: Group | None = current
        while group is not None:
            if name in group.grammar.holds and (found := find(group, name)) is not None:
                return found
            group = group.parent
    return current


def _in_order(group: Group, name: str) -> Group | None:
    """Where a segment belongs if groups begin with their first segment."""
    return _forward(group, name, True) or _again(group, name, True)


def _direct(group: Group, name: str) -> Group | None:
    """A group that has such a segment itself: another of its kind if it has its only one."""
    member = next((m for m in group.grammar.members if m.name == name and not m.members), None)
    if member is None:
        return None
    if name in group.own and not member.repeats:
        return _again(group, name, False) or group
    return group


def _anywhere(group: Group, name: str) -> Group | None:
    return _forward(group, name, False) or _again(group, name, False)


def _forward(group: Group, name: str, strict: bool) -> Group | None:
    """The place of a segment in a group, from where the group stands."""
    members = group.grammar.members
    for at in range(group.at, len(members)):
        member = members[at]
        if name not in member.holds:
            continue
        if at == group.at and group.taken and not member.repeats:
            continue
        if not member.members:
            group.at, group.taken = at, True
            return group
        if not strict or member.anchor == name:
            group.at, group.taken = at, True
            return _forward(group.open(member), name, strict)
    return None


def _again(group: Group, name: str, strict: bool) -> Group | None:
    """The place of a segment in a further group of the same kind."""
    if not group.grammar.repeats or group.parent is None:
        return None
    if strict and group.grammar.anchor != name:
        return None
    return _forward(group.parent.open(group.grammar), name, strict)
