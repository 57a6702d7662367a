"""What one search parameter asks of a resource, as SQL (R4 search.html#ptypes).

SQL fragments are constants of this module and refer to the resource as `r` and to the tenant's
schema as `{s}`; whatever a client sends is bound as a parameter, never part of the text.
"""

import re
from collections.abc import Callable, Sequence

from fhir_server.search import keys, ranges
from fhir_server.search.conditions import (
    Circumstances,
    Predicate,
    PredicateError,
    any_of,
    negated,
    split_bar,
    unescape,
)
from fhir_server.search.normalize import INDEXED_LENGTH, normalize
from fhir_server.search.parameters import SearchParameter

MOST_VALUES = 500


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
    return negated(found) if modifier == "not" else found


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
    return any_of([_one_string(parameter, modifier, normalize(value)) for value in plain])


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


# the parameters that are columns


def _id(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Predicate:
    found = Predicate("r.id = any(%s::text[])", ([unescape(value) for value in values],))
    return negated(found) if modifier == "not" else found


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
    "date": ranges.date,
    "number": ranges.number,
    "quantity": ranges.quantity,
}
_BY_CODE: dict[str, _Maker] = {"_id": _id, "_lastUpdated": ranges.last_updated}
