"""Conditions in words, for whoever asks how a search was understood."""

import re
from collections.abc import Callable
from typing import Any

from fhir_server.search.conditions import (
    Absent,
    AllOf,
    AnyOf,
    Column,
    Concepts,
    Condition,
    Contains,
    Hierarchy,
    Keys,
    Measured,
    Not,
    Ordered,
    ReferredBy,
    Refers,
    Selection,
    Spoken,
)


def describe(condition: Condition) -> str:
    """One line that says what a match meets."""
    return _WORDS[type(condition)](condition)


def _keys(condition: Keys) -> str:
    match len(condition.any_of):
        case 0:
            return "never"
        case 1:
            return "has the key looked for"
        case count:
            return f"has one of {count} keys"


def _measured(asked: Measured) -> str:
    unit = f"{asked.system or ''}|{asked.code}"
    return (
        f"has a quantity {asked.prefix} {asked.low} to {asked.high} {unit}, or as much of another"
    )


def _concepts(asked: Concepts) -> str:
    system = f"{asked.system}|" if asked.system else ""
    return f"has a code {asked.relation} {system}{asked.value}"


def _ordered(asked: Ordered) -> str:
    texts = " or ".join(_filled(sql, values) for sql, values in asked.any_of)
    return f"has a row in {asked.table} where {texts}"


def _column(asked: Column) -> str:
    return _filled(re.sub(r"\{[rs]\}\.|\{place\}", "", asked.sql), asked.values)


_WORDS: dict[type, Callable[[Any], str]] = {
    Keys: _keys,
    Ordered: _ordered,
    Column: _column,
    Spoken: lambda asked: f"has a text in the vocabulary where {_filled(asked.sql, asked.values)}",
    Absent: lambda asked: f"has {'no' if asked.missing else 'a'} value of {asked.code}",
    Measured: _measured,
    Concepts: _concepts,
    Hierarchy: lambda asked: f"refers to that {asked.type} or one {asked.relation} it",
    Contains: lambda asked: f"contains {_selected(asked.selection)}",
    Refers: lambda asked: f"refers to {_selected(asked.target)}",
    ReferredBy: lambda asked: f"is referred to by {_selected(asked.source)}",
    Not: lambda asked: f"not ({describe(asked.inner)})",
    AllOf: lambda asked: " and ".join(map(describe, asked.of)) or "always",
    AnyOf: lambda asked: "(" + " or ".join(map(describe, asked.of)) + ")",
}


def _selected(selection: Selection) -> str:
    return f"a {selection.type or 'resource'} that {describe(selection.condition)}"


def _filled(sql: str, values: tuple[object, ...]) -> str:
    for value in values:
        sql = sql.replace("%s", repr(value), 1)
    return " ".join(sql.split())
