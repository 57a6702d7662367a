"""Reads the text of `_filter` (R4 search_filter.html); what it finds is for others to say.

Beyond the grammar there, a step may name a type as in chains: `subject:Patient.name`.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

LONGEST = 10_000
DEEPEST = 20
MOST_COMPARISONS = 100


class Operator(Enum):
    """How the values of a path are compared with the one that is given."""

    EQ = "eq"
    NE = "ne"
    CO = "co"
    SW = "sw"
    EW = "ew"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    AP = "ap"
    SA = "sa"
    EB = "eb"
    PR = "pr"
    PO = "po"
    SS = "ss"
    SB = "sb"
    IN = "in"
    NI = "ni"
    RE = "re"


@dataclass(frozen=True, slots=True)
class Step:
    """A search parameter of a path.

    type: the one type that is meant of those that a reference may point to.
    filter: what must hold for where the next step starts.
    position: where it starts in the text, from 0.
    """

    name: str
    type: str | None = None
    filter: "Filter | None" = None
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path operator value`: whether any one of the values of the path compares so.

    `ne` is no negation: it asks for a value that differs. Only `pr` and `ni` ask of all values.
    value: as in other searches, such as `system|code`; `true` or `false` for `pr`. Whether it was
    quoted makes no difference.
    """

    path: tuple[Step, ...]
    operator: Operator
    value: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """`not (filter)`."""

    filter: "Filter"


@dataclass(frozen=True, slots=True)
class Junction:
    """Filters that must all hold, or one of which must; no part is a junction of the same kind."""

    operator: Literal["and", "or"]
    parts: tuple["Filter", ...]


Filter: TypeAlias = Comparison | Not | Junction


# Which operators compare which type of search parameter, and how (R4 search_filter.html#ops).
# Types and operators that stand in no row are not defined. `ap`, `sa` and `eb` are in the first
# table there only, and mean what they mean as prefixes (search.html#prefix).
_ORDERED = {
    "number": "as the prefix of a number",
    "date": "as the prefix of a date: by the periods that both imply",
    "quantity": "as the prefix of a quantity: units are the same or made so",
}
_BY_CODE_POINTS = {"string": "by the code points of the text from its start, trimmed, in any case"}
_EQUAL = {
    "string": "the same text, in any case",
    "number": "the same number at the same precision",
    "date": "the same date at the same precision, and the same time zone if one is given",
    "token": "the same code, in any case, and the same system if one is given",
    "quantity": "the same number and unit",
}
_EVERY_TYPE = ("string", "number", "date", "token", "reference", "quantity")

OPERATORS: dict[Operator, dict[str, str]] = {
    Operator.EQ: _EQUAL,
    Operator.NE: {type_: f"not {meaning}" for type_, meaning in _EQUAL.items()},
    Operator.CO: {
        "string": "the value stands somewhere in the text, in any case",
        "number": "what the number can mean at its precision includes the value",
        "date": "the period that the date implies includes the value",
    },
    Operator.SW: {"string": "the text starts with the value, in any case"},
    Operator.EW: {"string": "the text ends with the value, in any case"},
    **dict.fromkeys(
        (Operator.GT, Operator.LT, Operator.GE, Operator.LE), _BY_CODE_POINTS | _ORDERED
    ),
    **dict.fromkeys((Operator.AP, Operator.SA, Operator.EB), _ORDERED),
    Operator.PR: dict.fromkeys(_EVERY_TYPE, "there is any value (true), or none (false)"),
    Operator.PO: {"date": "the periods that both imply overlap"},
    Operator.SS: {"token": "the value subsumes the code"},
    Operator.SB: {"token": "the value is subsumed by the code"},
    Operator.IN: {"token": "the code is in the value set with this URL"},
    Operator.NI: {"token": "no code is in the value set with this URL"},
    Operator.RE: {"reference": "the reference points to this URL, relative or absolute"},
}

# What stands for a code system before `|` in a token (R4 search_filter.html#ops).
NAMESPACES = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ucum": "http://unitsofmeasure.org",
}


class FilterError(ValueError):
    """A text that is no filter.

    position: where it stops being one, from 0. expected: what should stand there.
    """

    def __init__(self, text: str, position: int, expected: str) -> None:
        self.position = position
        self.expected = expected
        rest = text[position : position + 20]
        found = f"found {rest!r}" if rest else "the filter ends"
        super().__init__(f"character {position + 1}: expected {expected}; {found}")


def parse(text: str) -> Filter:
    """The filter that a text stands for; `and` and `or` are taken from left to right.

    Raises `FilterError`, also for over 10,000 characters, 100 comparisons or 20 levels.
    """
    if len(text) > LONGEST:
        raise FilterError(text, LONGEST, f"at most {LONGEST} characters")
    if strange := _NEVER_STORED.search(text):
        raise FilterError(text, strange.start(), _STORABLE)
    return _Parser(text).whole()


def junction(operator: Literal["and", "or"], parts: Iterable[Filter]) -> Junction:
    """The parts joined; those that are joined by the same operator already become one with it."""
    flat: list[Filter] = []
    for part in parts:
        if isinstance(part, Junction) and part.operator == operator:
            flat.extend(part.parts)
        else:
            flat.append(part)
    return Junction(operator, tuple(flat))


def render(filter_: Filter) -> str:
    """A text that `parse` reads as this filter."""
    match filter_:
        case Comparison():
            path = ".".join(_rendered_step(step) for step in filter_.path)
            return f"{path} {filter_.operator.value} {_rendered_value(filter_.value)}"
        case Not():
            return f"not ({render(filter_.filter)})"
        case Junction():
            parts = (
                f"({render(part)})" if isinstance(part, Junction) else render(part)
                for part in filter_.parts
            )
            return f" {filter_.operator} ".join(parts)


def _rendered_step(step: Step) -> str:
    type_ = f":{step.type}" if step.type else ""
    inner = f"[{render(step.filter)}]" if step.filter else ""
    return f"{step.name}{type_}{inner}"


def _rendered_value(value: str) -> str:
    bare = _TOKEN.fullmatch(value) and not value.startswith('"')
    return value if bare else json.dumps(value)


_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TYPE = re.compile(r"[A-Z][A-Za-z]*(?![A-Za-z0-9_-])")
_WORD = re.compile(r"[^\s()\[\]\"]+")
_JUNCTION = re.compile(r"(?:and|or)(?![^\s(])")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_TOKEN = re.compile(r"[^\s)\]]+")
_AFTER_VALUE = re.compile(r"[\s)\]]|\Z")
# U+0000 and half a character cannot be stored, so no value has them.
_NEVER_STORED = re.compile("[\0\ud800-\udfff]")
_STORABLE = "whole characters, without U+0000"
_OPERATORS = ", ".join(operator.value for operator in Operator)


class _Parser:
    """Reads one text from left to right; each method leaves `_at` behind what it read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._comparisons = 0

    def whole(self) -> Filter:
        found = self._filter(0)
        if self._at < len(self._text):
            raise self._error("'and', 'or' or the end")
        return found

    def _filter(self, depth: int) -> Filter:
        if depth > DEEPEST:
            raise self._error(f"at most {DEEPEST} levels of parentheses and brackets")
        found = self._part(depth)
        while operator := self._junction():
            start = self._at
            found = self._limited(junction(operator, (found, self._part(depth))), start)
        return found

    def _limited(self, found: Filter, start: int) -> Filter:
        # Nothing that walks the tree may run out of stack: `and` after `or` adds a level as well.
        if _height(found) > DEEPEST:
            self._at = start
            raise self._error(f"at most {DEEPEST} levels of filters")
        return found

    def _junction(self) -> Literal["and", "or"] | None:
        self._match(_SPACE)
        word = self._match(_JUNCTION)
        if not word:
            return None
        return "and" if word == "and" else "or"

    def _part(self, depth: int) -> Filter:
        self._match(_SPACE)
        if self._skip("("):
            return self._closed(depth, ")")
        start = self._at
        name = self._name("the name of a search parameter, 'not' or '('")
        if name != "not":
            return self._limited(self._comparison(name, start, depth), start)
        self._match(_SPACE)
        if not self._skip("("):
            raise self._error("'(' after 'not'")
        return self._limited(Not(self._closed(depth, ")")), start)

    def _closed(self, depth: int, end: str) -> Filter:
        found = self._filter(depth + 1)
        if not self._skip(end):
            raise self._error(f"'and', 'or' or '{end}'")
        return found

    def _comparison(self, name: str, start: int, depth: int) -> Comparison:
        path = self._path(name, start, depth)
        operator = self._operator()
        value = self._value(operator)
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            self._at = start
            raise self._error(f"at most {MOST_COMPARISONS} comparisons")
        return Comparison(path, operator, value, start)

    def _path(self, name: str, start: int, depth: int) -> tuple[Step, ...]:
        steps = []
        while True:
            type_ = self._type() if self._skip(":") else None
            inner = self._closed(depth, "]") if self._skip("[") else None
            steps.append(Step(name, type_, inner, start))
            if not self._skip("."):
                break
            start = self._at
            name = self._name("the name of a search parameter")
        if inner is not None:
            raise self._error("'.' and a parameter after ']'")
        return tuple(steps)

    def _name(self, expected: str) -> str:
        name = self._match(_NAME)
        if not name:
            raise self._error(expected)
        return name

    def _type(self) -> str:
        found = self._match(_TYPE)
        if not found:
            raise self._error("the name of a resource type (modifiers are written as operators)")
        return found

    def _operator(self) -> Operator:
        if not self._match(_SPACE):
            raise self._error("'.', '[' or a space and an operator")
        start = self._at
        word = self._match(_WORD)
        try:
            return Operator(word)
        except ValueError:
            self._at = start
            raise self._error(f"one of the operators {_OPERATORS}") from None

    def _value(self, operator: Operator) -> str:
        if not self._match(_SPACE):
            raise self._error("a space and a value")
        start = self._at
        value = self._string() if self._text.startswith('"', start) else self._match(_TOKEN)
        if self._at == start:
            raise self._error("a value")
        if operator is not Operator.PR:
            return value
        if value.lower() not in ("true", "false"):
            self._at = start
            raise self._error("true or false")
        return value.lower()

    def _string(self) -> str:
        start = self._at
        literal = self._match(_STRING)
        if not literal:
            raise self._error("a string as in JSON, with its closing quote")
        if not _AFTER_VALUE.match(self._text, self._at):
            raise self._error("a space, ')', ']' or the end after a string")
        value = str(json.loads(literal))
        if _NEVER_STORED.search(value):
            self._at = start
            raise self._error(_STORABLE)
        return value

    def _skip(self, character: str) -> bool:
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _error(self, expected: str) -> FilterError:
        return FilterError(self._text, self._at, expected)


def _height(filter_: Filter) -> int:
    match filter_:
        case Comparison():
            inner = [step.filter for step in filter_.path if step.filter]
        case Not():
            inner = [filter_.filter]
        case Junction():
            inner = list(filter_.parts)
    return 1 + max(map(_height, inner), default=0)
