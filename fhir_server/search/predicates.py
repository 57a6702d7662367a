"""What one search parameter asks of a resource, as SQL (R4 search.html#ptypes).

SQL fragments are constants of this module and refer to the resource as `r` and to the tenant's
schema as `{s}`; whatever a client sends is bound as a parameter, never part of the text.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.search import keys
from fhir_server.search.normalize import INDEXED_LENGTH, normalize
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.values import Instants, number_range

MOST_VALUES = 500


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


_Maker = Callable[[SearchParameter, str, Sequence[str], Circumstances], Predicate]


def supported(parameter: SearchParameter) -> frozenset[str]:
    """The modifiers that may be given, `""` for none, `[type]` for a type name; empty: none."""
    if parameter.code == "_id":
        return _ID_MODIFIERS
    if parameter.code == "_lastUpdated":
        return _PLAIN
    return _MODIFIERS.get(parameter.type, frozenset())


def predicate(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    """The condition for one parameter with its comma-separated alternatives.

    modifier: one that `supported` gives. Raises `PredicateError` for a value of the wrong form.
    """
    if len(values) > MOST_VALUES:
        raise PredicateError(f"{len(values)} alternatives; at most {MOST_VALUES} are allowed")
    if not all(values):
        raise PredicateError("an empty value; expected one value, or several separated by commas")
    if any("\0" in value for value in values):
        raise PredicateError("the character U+0000, which no value can have")
    maker = _BY_CODE.get(parameter.code) or _BY_TYPE[parameter.type]
    return maker(parameter, modifier, values, where)


def _any_key(wanted: Sequence[int]) -> Predicate:
    if len(wanted) == 1:
        return Predicate("r.keys @> array[%s]::bigint[]", (wanted[0],), wanted[0])
    return Predicate("r.keys && %s::bigint[]", (list(wanted),))


def _any_of(predicates: Sequence[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    text = " or ".join(item.sql for item in predicates)
    return Predicate(f"({text})", tuple(value for item in predicates for value in item.values))


def _negated(inner: Predicate) -> Predicate:
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


# token


def token_text(value: str) -> str:
    """The key text of `code`, `system|code`, `|code` or `system|` (R4 search.html#token)."""
    parts = split_bar(value)
    if len(parts) == 1:
        return keys.token_any_system(parts[0])
    if len(parts) > 2 or not any(parts):
        raise PredicateError(r"expected code, system|code, |code or system| (a bar in a code: \|)")
    system, code = parts
    if not code:
        return keys.token_system_only(system)
    return keys.token_in_system(system, code) if system else keys.token_without_system(code)


def _of_type_text(value: str) -> str:
    parts = split_bar(value)
    if len(parts) != 3 or not all(parts):
        raise PredicateError("expected system|code|value of an identifier's type and value")
    return keys.token_of_type(*parts)


def _token(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    if modifier == "of-type":
        return _keys(parameter, "of-type", [_of_type_text(value) for value in values])
    found = _keys(parameter, "", [token_text(value) for value in values])
    return _negated(found) if modifier == "not" else found


def _keys(parameter: SearchParameter, modifier: str, texts: Sequence[str]) -> Predicate:
    name = keys.parameter_name(parameter.resource_type, parameter.code, modifier)
    return _any_key([keys.key(name, text) for text in texts])


# reference

_TYPED = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")
_BARE_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


def _reference(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    if modifier == "identifier":
        return _keys(parameter, "identifier", [token_text(value) for value in values])
    texts = [
        text for value in values for text in _reference_texts(parameter, modifier, value, where)
    ]
    return _keys(parameter, "", texts)


def _reference_texts(
    parameter: SearchParameter, target: str, value: str, where: Circumstances
) -> list[str]:
    text = keys.reference_text(unescape(value), where.base_url)
    if where.seen_as:
        text = keys.reference_text(text, where.seen_as)
    if _BARE_ID.fullmatch(text):
        types = [target] if target else parameter.targets
        if not types:
            raise PredicateError("expected Type/id, because this may refer to any type")
        return [name for type_ in types for name in _own(f"{type_}/{text}", where)]
    if target:
        raise PredicateError(f"expected the id of a {target} after the modifier :{target}")
    if _TYPED.fullmatch(text):
        return _own(text, where)
    if ":" in text:
        return list(keys.uri_texts(text))[:1]
    raise PredicateError("expected an id, Type/id or an absolute URL")


def _own(name: str, where: Circumstances) -> list[str]:
    """The texts of a resource of this server: a client may have stored either."""
    if where.seen_as in ("", where.base_url):
        return [name]
    return [name, f"{where.seen_as}/{name}"]


# string


def _string(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    plain = [unescape(value) for value in values]
    if modifier == "exact":
        return _keys(parameter, "exact", plain)
    return _any_of([_one_string(parameter, modifier, normalize(value)) for value in plain])


def _one_string(parameter: SearchParameter, modifier: str, folded: str) -> Predicate:
    if not folded:
        raise PredicateError("nothing to compare: expected at least one letter or digit")
    if len(folded) > INDEXED_LENGTH:
        raise PredicateError(f"only the first {INDEXED_LENGTH} characters of a text are compared")
    if modifier == "contains":
        pattern = re.sub(r"([\\%_])", r"\\\1", folded)
        return Predicate(_VALUE + "v.value like %s)", (parameter.hash, f"%{pattern}%"))
    ends = (folded, folded + _LAST_CHARACTER)
    return Predicate(_VALUE + "v.value >= %s and v.value < %s)", (parameter.hash, *ends))


_VALUE = "exists (select from {s}.string_value v where v.rid = r.rid and v.parameter = %s and "
_LAST_CHARACTER = "\U0010ffff"


# uri


def _uri(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    return _keys(parameter, "", [unescape(value) for value in values])


# date, number, quantity: ranges (R4 search.html#prefix)

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

# Each prefix as a condition on the stored range and the value's range [%s, %s): the order in which
# the value's ends are bound follows the text. A stored date is [low, high).
_DATES = {
    "eq": ("low >= %s and high <= %s", "lh"),
    "gt": ("high > %s", "h"),
    "lt": ("low < %s", "l"),
    "ge": ("(low >= %s or high > %s)", "lh"),
    "le": ("(high <= %s or low < %s)", "hl"),
    "sa": ("low >= %s", "h"),
    "eb": ("high <= %s", "l"),
    "ap": ("low < %s and high > %s", "hl"),
}
# A stored number is [low, high]; after a prefix that compares, the value stands for itself alone.
_NUMBERS = {
    "eq": ("low >= %s and high < %s", "lh"),
    "gt": ("high > %s", "l"),
    "lt": ("low < %s", "l"),
    "ge": ("high >= %s", "l"),
    "le": ("low <= %s", "l"),
    "sa": ("low > %s", "l"),
    "eb": ("high < %s", "l"),
    "ap": ("low < %s and high >= %s", "hl"),
}
_TABLES = {"date_value": _DATES, "number_value": _NUMBERS}


def split_prefix(value: str) -> tuple[str, str]:
    """A value's prefix, `eq` when it has none, and the rest."""
    return (value[:2], value[2:]) if value[:2] in PREFIXES else ("eq", value)


def _ranged(table: str, prefix: str, low: Any, high: Any, fixed: dict[str, Any]) -> Predicate:
    condition, order = _TABLES[table]["eq" if prefix == "ne" else prefix]
    ends = tuple(low if end == "l" else high for end in order)
    names = "".join(f"and v.{name} = %s " for name in fixed)
    sql = f"exists (select from {{s}}.{table} v where v.rid = r.rid {names}and {condition})"
    found = Predicate(sql, (*fixed.values(), *ends))
    return _negated(found) if prefix == "ne" else found


def _date(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = []
    for value in values:
        prefix, low, high = _date_range(value, where)
        found.append(_ranged("date_value", prefix, low, high, {"parameter": parameter.hash}))
    return _any_of(found)


def _date_range(value: str, where: Circumstances) -> tuple[str, int, int]:
    prefix, text = split_prefix(value)
    instants = Instants(where.zone)
    try:
        low, high = instants.of_text(text)
    except ValueError:
        raise PredicateError(
            f"{text!r} is no date; expected YYYY[-MM[-DD[Thh:mm[:ss]Z]]] after an optional "
            f"prefix ({', '.join(PREFIXES)})"
        ) from None
    if prefix == "ap":
        now = int(datetime.now(where.zone).timestamp() * 1_000_000)
        slack = abs(now - low) // 10
        low, high = low - slack, high + slack
    return prefix, low, high


def _number(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = []
    for value in values:
        prefix, low, high = _number_range(value)
        fixed = {"parameter": parameter.hash}
        found.append(_ranged("number_value", prefix, low, high, fixed))
    return _any_of(found)


def _quantity(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = []
    for value in values:
        parts = split_bar(value)
        if len(parts) not in (1, 3):
            raise PredicateError("expected [prefix]number or [prefix]number|system|code")
        fixed = {"parameter": parameter.hash}
        if len(parts) == 3 and parts[2]:
            _, system, code = parts
            fixed["unit"] = (
                keys.unit_in_system(system, code) if system else keys.unit_without_system(code)
            )
        prefix, low, high = _number_range(parts[0])
        found.append(_ranged("number_value", prefix, low, high, fixed))
    return _any_of(found)


_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,2})?", re.ASCII)


def _number_range(value: str) -> tuple[str, Any, Any]:
    prefix, text = split_prefix(value)
    if not _NUMBER.fullmatch(text):
        raise PredicateError(
            f"{text!r} is no number; expected one after an optional prefix ({', '.join(PREFIXES)})"
        )
    low, high = number_range(Decimal(text))
    if prefix not in ("eq", "ne", "ap"):
        low = high = Decimal(text)
    if prefix == "ap":
        slack = abs(low + high) / 20
        low, high = low - slack, high + slack
    return prefix, low, high


# the parameters that are columns


def _id(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = Predicate("r.id = any(%s::text[])", ([unescape(value) for value in values],))
    return _negated(found) if modifier == "not" else found


_LAST_UPDATED = {
    "eq": ("r.last_updated >= %s and r.last_updated < %s", "lh"),
    "ne": ("not (r.last_updated >= %s and r.last_updated < %s)", "lh"),
    "gt": ("r.last_updated >= %s", "h"),
    "lt": ("r.last_updated < %s", "l"),
    "ge": ("r.last_updated >= %s", "l"),
    "le": ("r.last_updated < %s", "h"),
    "sa": ("r.last_updated >= %s", "h"),
    "eb": ("r.last_updated < %s", "l"),
    "ap": ("r.last_updated >= %s and r.last_updated < %s", "lh"),
}
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _last_updated(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = []
    for value in values:
        prefix, low, high = _date_range(value, where)
        sql, order = _LAST_UPDATED[prefix]
        ends = {"l": _instant(low), "h": _instant(high)}
        found.append(Predicate(f"({sql})", tuple(ends[end] for end in order)))
    return _any_of(found)


def _instant(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        end = datetime.min if microseconds < 0 else datetime.max
        return end.replace(tzinfo=_EPOCH.tzinfo)


_PLAIN = frozenset({""})
_ID_MODIFIERS = frozenset({"", "not"})
_MODIFIERS = {
    "token": frozenset({"", "not", "of-type"}),
    "reference": frozenset({"", "identifier", "[type]"}),
    "string": frozenset({"", "exact", "contains"}),
    "uri": _PLAIN,
    "date": _PLAIN,
    "number": _PLAIN,
    "quantity": _PLAIN,
}
_BY_TYPE: dict[str, _Maker] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "uri": _uri,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
}
_BY_CODE: dict[str, _Maker] = {"_id": _id, "_lastUpdated": _last_updated}
