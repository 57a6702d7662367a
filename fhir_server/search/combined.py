"""What a composite parameter asks: several components of one item (R4 search.html#composite)."""

from collections.abc import Sequence
from itertools import product

from fhir_server.search import keys, ranges
from fhir_server.search.composites import shape
from fhir_server.search.conditions import (
    Circumstances,
    Condition,
    Keys,
    PredicateError,
    any_of,
    ordered,
    split_at,
    unescape,
)
from fhir_server.search.parameters import Component, SearchParameter
from fhir_server.search.predicates import reference_texts, stringed, token_text


def combined(
    parameter: SearchParameter, components: Sequence[Component], value: str, where: Circumstances
) -> Condition:
    """A composite parameter with one value, `first$second`. Raises `PredicateError`."""
    form = shape(components)
    parts = split_at("$", value)
    if form is None or len(parts) != len(components) or not all(parts):
        names = "$".join(component.type for component in components)
        raise PredicateError(f"expected {len(components)} values joined by $: {names}")
    found = [_texts(parameter, components[at], parts[at], where) for at in form.keys]
    combinations = list(product(*found))
    if not form.rows:
        texts = [keys.composite_text(texts) for texts in combinations]
        return Keys(tuple(keys.key(parameter.name, text) for text in texts))
    asked = [parts[at] for at in form.rows]
    kinds = [components[at].type for at in form.rows]
    return any_of(
        _row(keys.composite_parameter(parameter.name, texts), kinds, asked, where)
        for texts in combinations
    )


def _texts(
    parameter: SearchParameter, component: Component, value: str, where: Circumstances
) -> list[str]:
    match component.type:
        case "token":
            text = token_text(value)
            if text == keys.token_system_only(text.partition(keys.SEPARATOR)[0]):
                raise PredicateError(
                    "expected a code; a system alone cannot be part of a composite"
                )
            return [text]
        case "reference":
            definition = component.definition
            named = SearchParameter(
                parameter.resource_type,
                definition.code,
                "reference",
                definition.targets,
                definition,
            )
            return reference_texts(named, "", value, where)
    return [unescape(value)]


def _row(hash_: int, kinds: list[str], asked: list[str], where: Circumstances) -> Condition:
    match kinds:
        case ["string"]:
            return stringed(hash_, unescape(asked[0]))
        case ["date"]:
            return ranges.dated(hash_, ranges.date_bounds(asked[0], where))
        case ["number"]:
            return ranges.numbered(hash_, ranges.number_bounds(unescape(asked[0])))
        case ["quantity"]:
            return ranges.measured(hash_, asked[0])
    first, second = (ranges.number_bounds(unescape(value)) for value in asked)
    sql_of_first, low = ranges.point(first, "v.low")
    sql_of_second, high = ranges.point(second, "v.high")
    return ordered(
        "number_value", hash_, f"v.unit = 0 and {sql_of_first} and {sql_of_second}", low + high
    )
