"""What one search parameter asks of a resource (R4 search.html#ptypes)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from fhir_server.search import keys, position, ranges, words
from fhir_server.search.conditions import (
    NEVER,
    Absent,
    Circumstances,
    Column,
    Concepts,
    Condition,
    Hierarchy,
    Keys,
    Not,
    PredicateError,
    Spoken,
    any_of,
    ordered,
    split_bar,
    unescape,
)
from fhir_server.search.normalize import INDEXED_LENGTH, normalize
from fhir_server.search.parameters import ANY_TYPE, COLUMNS, SearchParameter, link_key
from fhir_server.search.patient_dates import REFERENCES
from fhir_server.spec import definitions

MOST_VALUES = 500

# The parameter by which a resource names the one above it, by type (R4 search.html#reference).
HIERARCHIES = {
    "Encounter": "part-of",
    "Location": "partof",
    "MedicationAdministration": "part-of",
    "Organization": "partof",
    "Procedure": "part-of",
    "Task": "part-of",
}

_Maker = Callable[[SearchParameter, str, Sequence[str], Circumstances], Condition]


def supported(parameter: SearchParameter) -> frozenset[str]:
    """The modifiers that may be given, `""` for none, `[type]` for a type name; empty: none."""
    found = _OF_CODE.get(parameter.code) or _MODIFIERS.get(parameter.type, frozenset())
    if parameter.keyed is not None:
        found = _SEALED.get(parameter.type, frozenset())
    if "above" in found and parameter.type == "reference" and not _hierarchical(parameter):
        return found - {"above", "below"}
    return found


def predicate(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Condition:
    """The condition for one parameter with its comma-separated alternatives.

    modifier: one that `supported` gives. Raises `PredicateError` for a value of the wrong form.
    """
    if len(values) > MOST_VALUES:
        raise PredicateError(f"{len(values)} alternatives; at most {MOST_VALUES} are allowed")
    if not all(values):
        raise PredicateError("an empty value; expected one value, or several separated by commas")
    if any("\0" in value for value in values):
        raise PredicateError("the character U+0000, which no value can have")
    if modifier == "missing":
        return _missing(parameter, values)
    maker = _BY_CODE.get(parameter.code) or _BY_TYPE[parameter.type]
    return maker(parameter, modifier, values, where)


def _missing(parameter: SearchParameter, values: Sequence[str]) -> Condition:
    if len(values) > 1 or values[0] not in ("true", "false"):
        raise PredicateError("expected true or false after :missing")
    missing = values[0] == "true"
    if parameter.code in COLUMNS:
        return NEVER if missing else Column("true")
    every = parameter.resource_type == ANY_TYPE
    types = sorted(definitions().resource_types) if every else [parameter.resource_type]
    presence = tuple(keys.hash64(keys.presence_parameter(type_)) for type_ in types)
    return Absent(presence, parameter.code, missing)


def _keys(parameter: SearchParameter, modifier: str, texts: Sequence[str]) -> Keys:
    return Keys(tuple(dict.fromkeys(parameter.key(text, modifier) for text in texts)))


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
) -> Condition:
    if modifier == "of-type":
        return _keys(parameter, "of-type", [_of_type_text(value) for value in values])
    if modifier == "text":
        return _display(parameter, values)
    if modifier in ("in", "not-in"):
        found = any_of(
            Concepts(parameter.name, "in", "", unescape(value), parameter.keyed) for value in values
        )
        return Not(found) if modifier == "not-in" else found
    if modifier in ("above", "below"):
        return any_of(_related(parameter, modifier, value) for value in values)
    texts = _keys(parameter, "", [token_text(value) for value in values])
    return Not(texts) if modifier == "not" else texts


def _related(parameter: SearchParameter, modifier: str, value: str) -> Condition:
    parts = split_bar(value)
    if len(parts) != 2 or not all(parts):
        raise PredicateError(f"expected system|code after :{modifier}")
    system, code = parts
    return Concepts(parameter.name, modifier, system, code, parameter.keyed)


def _display(parameter: SearchParameter, values: Sequence[str]) -> Condition:
    name = keys.parameter_name(parameter.resource_type, parameter.code, keys.TEXT)
    found = []
    for value in values:
        sql, bound = _begins(folded(unescape(value)), "value")
        found.append(Spoken(keys.hash64(name), sql, bound))
    return any_of(found)


# reference

_TYPED = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")
_BARE_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


def _reference(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Condition:
    if modifier == "identifier":
        return _keys(parameter, "identifier", [token_text(value) for value in values])
    if modifier == "text":
        return _display(parameter, values)
    if modifier in ("above", "below"):
        return any_of(_hierarchy(parameter, modifier, value, where) for value in values)
    texts = [
        text for value in values for text in reference_texts(parameter, modifier, value, where)
    ]
    found = Keys(tuple(dict.fromkeys(link_key(parameter, text) for text in texts)))
    if len(texts) == 1 and parameter.code in REFERENCES:
        return replace(found, about=keys.hash64_uncached(texts[0]))
    return found


def reference_texts(
    parameter: SearchParameter, target: str, value: str, where: Circumstances
) -> list[str]:
    """The key texts of a reference as a client writes it (R4 search.html#reference).

    target: the type that a modifier names, or "". Raises `PredicateError`.
    """
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
        return [text]
    raise PredicateError("expected an id, Type/id or an absolute URL")


def _own(name: str, where: Circumstances) -> list[str]:
    """The texts of a resource of this server: a client may have stored either."""
    if where.seen_as in ("", where.base_url):
        return [name]
    return [name, f"{where.seen_as}/{name}"]


def _hierarchical(parameter: SearchParameter) -> list[str]:
    return [type_ for type_ in parameter.targets if type_ in HIERARCHIES]


def _hierarchy(
    parameter: SearchParameter, relation: str, value: str, where: Circumstances
) -> Condition:
    texts = reference_texts(parameter, "", value, where)
    found = []
    for text in texts:
        type_ = text.partition("/")[0]
        if type_ in HIERARCHIES:
            step = keys.hash64(keys.parameter_name(type_, HIERARCHIES[type_]))
            found.append(Hierarchy(parameter.hash, type_, step, keys.hash64(text), relation))
    if not found:
        types = ", ".join(_hierarchical(parameter))
        raise PredicateError(f":{relation} needs a type with a hierarchy; expected one of {types}")
    return any_of(found)


# string


def _string(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Condition:
    plain = [unescape(value) for value in values]
    if modifier == "exact":
        return _keys(parameter, "exact", plain)
    if modifier == "contains":
        return any_of(containing(parameter, value, "%{}%") for value in plain)
    return any_of(stringed(parameter.hash, value) for value in plain)


def containing(parameter: SearchParameter, text: str, pattern: str) -> Condition:
    """The condition on strings that have a text where a pattern for `like` says."""
    like = pattern.format(re.sub(r"([\\%_])", r"\\\1", folded(text)))
    name = keys.parameter_name(parameter.resource_type, parameter.code, keys.LONGER)
    return any_of(
        ordered("string_value", hash_, "v.value like %s", (like,))
        for hash_ in (parameter.hash, keys.hash64(name))
    )


def stringed(parameter: int, text: str) -> Condition:
    """The condition on the strings that stand under the hash of a parameter."""
    return ordered("string_value", parameter, *_begins(folded(text), "v.value"))


def folded(text: str) -> str:
    """A text as strings are compared with it. Raises `PredicateError`."""
    normalised = normalize(text)
    if not normalised:
        raise PredicateError("nothing to compare: expected at least one letter or digit")
    if len(normalised) > INDEXED_LENGTH:
        raise PredicateError(f"{len(normalised)} characters; at most {INDEXED_LENGTH} are compared")
    return normalised


def _begins(text: str, column: str) -> tuple[str, tuple[str, str]]:
    return f"{column} >= %s and {column} < %s", (text, text + _LAST_CHARACTER)


_LAST_CHARACTER = "\U0010ffff"


# uri


def _uri(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Condition:
    plain = [unescape(value) for value in values]
    if modifier == "below":
        return _keys(parameter, keys.BELOW, [keys.uri_prefixes(value)[-1] for value in plain])
    if modifier == "above":
        return _keys(parameter, "", [text for value in plain for text in _above(value)])
    return _keys(parameter, "", plain)


def _above(uri: str) -> list[str]:
    # What is stored may end in a slash, which does not count here.
    prefixes = keys.uri_prefixes(uri)
    return [text for prefix in prefixes for text in (prefix, prefix + "/")] + [uri]


# the parameters that are columns, and special ones


def _id(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Condition:
    found = Column("{r}.id = any(%s::text[])", ([unescape(value) for value in values],), few=True)
    return Not(found) if modifier == "not" else found


_MISSING = frozenset({"", "missing"})
_MODIFIERS = {
    "token": _MISSING | {"not", "of-type", "text", "in", "not-in", "above", "below"},
    "reference": _MISSING | {"identifier", "[type]", "text", "above", "below"},
    "string": _MISSING | {"exact", "contains"},
    "uri": _MISSING | {"above", "below"},
    "date": _MISSING,
    "number": _MISSING,
    "quantity": _MISSING,
    "composite": _MISSING,
}
# Of elements that are encrypted at rest only whole values are found.
_SEALED = {
    "token": _MODIFIERS["token"] - {"text"},
    "reference": _MODIFIERS["reference"] - {"text"},
    "string": frozenset({"exact", "missing"}),
    "uri": _MISSING,
    "date": frozenset({"missing"}),
    "number": frozenset({"missing"}),
    "quantity": frozenset({"missing"}),
}
_OF_CODE = {
    "_id": _MISSING | {"not"},
    "_lastUpdated": _MISSING,
    "near": _MISSING,
    "_filter": frozenset({""}),
    "_list": frozenset({""}),
    "_content": frozenset({""}),
    "_text": frozenset({""}),
}
_BY_TYPE: dict[str, _Maker] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "uri": _uri,
    "date": ranges.any_value(ranges.date),
    "number": ranges.any_value(ranges.number),
    "quantity": ranges.any_value(ranges.quantity),
}
_BY_CODE: dict[str, _Maker] = {
    "_id": _id,
    "_lastUpdated": ranges.any_value(ranges.last_updated),
    "near": ranges.any_value(position.near),
    "_content": words.words,
    "_text": words.words,
}
