"""What a condition on a resource is, as SQL, and how search values are split and unescaped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo


class PredicateError(ValueError):
    """A search value that cannot be understood; says what was expected."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on a resource `r`.

    sql: the condition, with `%s` for each of `values`.
    key: the one search key that this asks for, when it asks for exactly one.
    """

    sql: str
    values: tuple[Any, ...]
    key: int | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the meaning of a search value depends on.

    base_url: under which absolute references were indexed as this server's own.
    zone: of dates and times that name none.
    seen_as: the base URL that the client uses; it need not be `base_url`.
    """

    base_url: str
    zone: ZoneInfo
    seen_as: str = ""


def any_of(predicates: Sequence[Predicate]) -> Predicate:
    """At least one of several conditions."""
    if len(predicates) == 1:
        return predicates[0]
    text = " or ".join(item.sql for item in predicates)
    return Predicate(f"({text})", tuple(value for item in predicates for value in item.values))


def negated(inner: Predicate) -> Predicate:
    """The opposite of a condition."""
    return Predicate(f"not ({inner.sql})", inner.values)


def unescape(text: str) -> str:
    r"""The value meant by one with `\,` `\|` `\$` and `\\` (R4 search.html#escaping)."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def split_at(separator: str, value: str) -> list[str]:
    """The parts of a value between separators that are not escaped; escapes stay."""
    parts, current, escaped = [], "", False
    for character in value:
        if character == separator and not escaped:
            parts.append(current)
            current = ""
        else:
            current += character
        escaped = character == "\\" and not escaped
    parts.append(current)
    return parts


def split_bar(value: str) -> list[str]:
    """The parts between unescaped bars, unescaped."""
    return [unescape(part) for part in split_at("|", value)]
