"""A search evaluated plainly: every condition on every resource, straight from its JSON.

It shares nothing with the server. Fields are dotted paths, references are followed by looking
through all resources, and ranges are compared as R4 search.html says it in words.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

Json = dict[str, Any]
World = Mapping[str, Json]
Range = tuple[Any, Any]

UCUM = "http://unitsofmeasure.org"
GENDER = "http://hl7.org/fhir/administrative-gender"
GRAMS = {"kg": 1000, "g": 1}
EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
ENDLESS = (Decimal("-1e300"), Decimal("1e300"))

# The kind of each parameter, and where its values are. Those that share a code are all here.
FIELDS: dict[tuple[str, str], tuple[str, str]] = {
    ("Patient", "active"): ("token", "active"),
    ("Patient", "birthdate"): ("date", "birthDate"),
    ("Patient", "family"): ("string", "name.family"),
    ("Patient", "gender"): ("token", "gender"),
    ("Patient", "general-practitioner"): ("reference", "generalPractitioner"),
    ("Patient", "given"): ("string", "name.given"),
    ("Patient", "identifier"): ("token", "identifier"),
    ("Patient", "organization"): ("reference", "managingOrganization"),
    ("Organization", "identifier"): ("token", "identifier"),
    ("Organization", "name"): ("string", "name|alias"),
    ("Organization", "partof"): ("reference", "partOf"),
    ("Practitioner", "family"): ("string", "name.family"),
    ("Practitioner", "gender"): ("token", "gender"),
    ("Practitioner", "identifier"): ("token", "identifier"),
    ("Practitioner", "name"): ("string", "name.family|name.given"),
    ("Observation", "code"): ("token", "code"),
    ("Observation", "code-value-quantity"): ("composite", "@"),
    ("Observation", "date"): ("date", "effectiveDateTime|effectivePeriod"),
    ("Observation", "has-member"): ("reference", "hasMember"),
    ("Observation", "subject"): ("reference", "subject"),
    ("Observation", "value-quantity"): ("quantity", "valueQuantity"),
    ("RiskAssessment", "probability"): (
        "number",
        "prediction.probabilityDecimal|prediction.probabilityRange",
    ),
    ("RiskAssessment", "subject"): ("reference", "subject"),
    ("ValueSet", "url"): ("uri", "url"),
}
TARGETS = {
    ("Patient", "organization"): ("Organization",),
    ("Patient", "general-practitioner"): ("Organization", "Practitioner"),
    ("Organization", "partof"): ("Organization",),
    ("Observation", "subject"): ("Patient",),
    ("Observation", "has-member"): ("Observation",),
    ("RiskAssessment", "subject"): ("Patient",),
}


@dataclass(frozen=True)
class Plain:
    """`code:modifier=value,value`."""

    code: str
    modifier: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Chain:
    """`code:target.…`, or for all targets `code.…`."""

    code: str
    target: str
    inner: "Asked"


@dataclass(frozen=True)
class Has:
    """`_has:source:code:…`."""

    source: str
    code: str
    inner: "Asked"


Asked: TypeAlias = Plain | Chain | Has


def matches(world: World, type_: str, asked: Iterable[Asked]) -> list[Json]:
    """The resources of a type that meet every condition, in the order of the world.

    Those that are contained in others are among them.
    """
    wanted = list(asked)
    return [
        resource
        for resource in world.values()
        if resource["resourceType"] == type_
        and all(holds(world, resource, condition) for condition in wanted)
    ]


# What a contained resource is called in the world, `Observation/1#p`.
NAME = "@"


def name_of(resource: Json) -> str:
    """What references to a resource say."""
    return str(resource.get(NAME) or f"{resource['resourceType']}/{resource['id']}")


def unpacked(world: World) -> dict[str, Json]:
    """The world with each contained resource as one of its own, and references as they are meant.

    The references within a resource are the one thing that is not read as it stands.
    """
    found: dict[str, Json] = {}
    for name, resource in world.items():
        bare = {key: value for key, value in resource.items() if key != "contained"}
        found[name] = _meant(bare, name)
        for item in resource.get("contained", ()):
            inner = f"{name}#{item['id']}"
            found[inner] = _meant(item, name) | {NAME: inner}
    return found


def _meant(value: Any, container: str) -> Any:
    if isinstance(value, list):
        return [_meant(item, container) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _meant(item, container) for key, item in value.items()}
    text = found.get("reference")
    if isinstance(text, str) and text.startswith("#"):
        found["reference"] = container if text == "#" else container + text
    return found


def holds(world: World, resource: Json, asked: Asked) -> bool:
    """Whether a resource meets a condition."""
    match asked:
        case Chain():
            ends = [world[name] for name in referred(resource, asked.code) if name in world]
            return any(
                asked.target in ("", end["resourceType"])
                and known(end["resourceType"], asked.inner)
                and holds(world, end, asked.inner)
                for end in ends
            )
        case Has():
            name = name_of(resource)
            return any(
                source["resourceType"] == asked.source
                and NAME not in source
                and name in referred(source, asked.code)
                and holds(world, source, asked.inner)
                for source in world.values()
            )
    kind, _ = FIELDS[resource["resourceType"], asked.code]
    found = items(resource, asked.code)
    if asked.modifier == "missing":
        return bool(bool(found) != asked.values[0])
    met = any(
        compare(kind, asked.modifier, item, value) for item in found for value in asked.values
    )
    return met != (asked.modifier == "not")


def known(type_: str, asked: Asked) -> bool:
    """Whether a type has the parameter that a condition begins with."""
    return isinstance(asked, Has) or (type_, asked.code) in FIELDS


def items(resource: Json, code: str) -> list[Any]:
    """The values of a parameter, as they stand in the resource."""
    _, paths = FIELDS[resource["resourceType"], code]
    if paths == "@":
        return [resource] if "code" in resource and "valueQuantity" in resource else []
    return [item for path in paths.split("|") for item in at(resource, path.split("."))]


def at(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """What a path leads to; lists are gone through."""
    if isinstance(value, list):
        for item in value:
            yield from at(item, path)
    elif not path:
        yield value
    elif path[0] in value:
        yield from at(value[path[0]], path[1:])


def referred(resource: Json, code: str) -> list[str]:
    """`Type/id` of what a resource refers to by a parameter; nothing if the type has it not."""
    if (resource["resourceType"], code) not in FIELDS:
        return []
    return [item["reference"] for item in items(resource, code) if "reference" in item]


def compare(kind: str, modifier: str, item: Any, value: Any) -> bool:
    """Whether one stored value is what one value of the search asks for."""
    match kind:
        case "token" if modifier == "text":
            return any(folded(text).startswith(folded(value)) for text in shown(item))
        case "token":
            return any(same_token(stored, value) for stored in tokens(item))
        case "string":
            return same_string(modifier, item, value)
        case "date":
            return compared(value[0], date_range(item), date_range(value[1]))
        case "number":
            return number_compared(value, number_range(item))
        case "quantity":
            return same_quantity(item, value)
        case "reference":
            return item.get("reference") in value
        case "uri":
            return same_uri(modifier, item, value)
        case "composite":
            codes = any(same_token(stored, value[0]) for stored in tokens(item["code"]))
            return codes and same_quantity(item["valueQuantity"], value[1])
    raise AssertionError(kind)


# token: a value is (system, code); "any" for a system that does not matter, None for none


def tokens(item: Any) -> list[tuple[str | None, str | None]]:
    match item:
        case bool():
            return [(None, "true" if item else "false")]
        case str():
            return [(GENDER, item)]
        case {"value": _} | {"system": _}:
            return [(item.get("system"), item.get("value"))]
    return [(coding.get("system"), coding.get("code")) for coding in item.get("coding", ())]


def same_token(stored: tuple[str | None, str | None], value: tuple[str | None, str]) -> bool:
    system, code = value
    return (system == "any" or stored[0] == system) and (not code or stored[1] == code)


def shown(item: Any) -> list[str]:
    texts = [item.get("text"), item.get("type", {}).get("text")]
    texts += [coding.get("display") for coding in item.get("coding", ())]
    return [text for text in texts if text]


def folded(text: str) -> str:
    """Without case, accents and surplus space (R4 search.html#string)."""
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(bare.casefold().split())


def same_string(modifier: str, item: str, value: str) -> bool:
    match modifier:
        case "exact":
            return item == value
        case "contains":
            return folded(value) in folded(item)
    return folded(item).startswith(folded(value))


def same_uri(modifier: str, item: str, value: str) -> bool:
    if modifier == "below":
        return item == value or item.startswith(value.rstrip("/") + "/")
    if modifier == "above":
        return item == value or value.startswith(item.rstrip("/") + "/")
    return item == value


# date, number and quantity: a value is (prefix, text) or (prefix, text, unit)


def date_range(value: str | Json) -> Range:
    """The first moment of a date or period, and the first one after it."""
    if isinstance(value, dict):
        start, end = value.get("start"), value.get("end")
        return date_range(start)[0] if start else EVER[0], date_range(end)[1] if end else EVER[1]
    parts = [int(part) for part in value[:10].split("-")]
    if len(value) > 10:
        moment = datetime.fromisoformat(value)
        return moment, moment + timedelta(seconds=1)
    year, month, day = [*parts, 1, 1][:3]
    first = datetime(year, month, day, tzinfo=UTC)
    if len(parts) == 1:
        return first, first.replace(year=first.year + 1)
    if len(parts) == 2:
        return first, (first + timedelta(days=31)).replace(day=1)
    return first, first + timedelta(days=1)


def compared(prefix: str, stored: Range, value: Range) -> bool:
    """R4 search.html#prefix, with ranges whose end does not belong to them."""
    contained = bool(value[0] <= stored[0] and stored[1] <= value[1])
    match prefix:
        case "eq":
            return contained
        case "ne":
            return not contained
        case "gt":
            return bool(stored[1] > value[1])
        case "lt":
            return bool(stored[0] < value[0])
        case "ge":
            return contained or bool(stored[1] > value[1])
        case "le":
            return contained or bool(stored[0] < value[0])
        case "sa":
            return bool(stored[0] >= value[1])
    return bool(stored[1] <= value[0])


def number_range(value: Any) -> Range:
    """The lowest and the highest of what is stored."""
    if isinstance(value, dict) and not {"low", "high"} & value.keys():
        number = Decimal(str(value["value"]))
        match value.get("comparator"):
            case "<":
                return ENDLESS[0], number - Decimal("1e-9")
            case ">=":
                return number, ENDLESS[1]
        return number, number
    if isinstance(value, dict):
        low, high = value.get("low"), value.get("high")
        return (
            number_range(low)[0] if low else ENDLESS[0],
            number_range(high)[1] if high else ENDLESS[1],
        )
    return Decimal(str(value)), Decimal(str(value))


def number_compared(value: tuple[str, str], stored: Range, factor: int = 1) -> bool:
    prefix, text = value[:2]
    number = Decimal(text)
    half = Decimal(5).scaleb(int(number.as_tuple().exponent) - 1)
    low, high = (number - half) * factor, (number + half) * factor
    exact = number * factor
    contained = bool(low <= stored[0] and stored[1] < high)
    match prefix:
        case "eq":
            return contained
        case "ne":
            return not contained
        case "gt":
            return bool(stored[1] > exact)
        case "lt":
            return bool(stored[0] < exact)
        case "ge":
            return bool(stored[1] >= exact)
        case "le":
            return bool(stored[0] <= exact)
        case "sa":
            return bool(stored[0] > exact)
    return bool(stored[1] < exact)


def same_quantity(item: Json, value: tuple[str, str, str]) -> bool:
    unit = value[2]
    if "value" not in item:
        return False
    stored = number_range(item)
    if unit:
        if item.get("system") != UCUM or item.get("code") not in GRAMS:
            return False
        grams = GRAMS[item["code"]]
        low, high = (end if end in ENDLESS else end * grams for end in stored)
        return number_compared(value[:2], (low, high), GRAMS[unit])
    return number_compared(value[:2], stored)


# _sort


def in_order(found: Sequence[Json], rules: Sequence[tuple[str, bool]]) -> list[str]:
    """The ids as sorted by (code, descending); the last to decide is the order of the world."""
    ordered = list(found)
    if not rules or rules[0][1]:
        ordered.reverse()
    for code, descending in reversed(rules):
        keyed = [(sort_value(resource, code, descending), resource) for resource in ordered]
        last = [resource for key, resource in keyed if key is None]
        first = [(key, resource) for key, resource in keyed if key is not None]
        if descending:
            # Sorting keeps what is alike in order, also when it is reversed.
            first.sort(key=lambda pair: pair[0], reverse=True)
        else:
            first.sort(key=lambda pair: pair[0])
        ordered = [resource for _, resource in first] + last
    return [resource["id"] for resource in ordered]


def sort_value(resource: Json, code: str, descending: bool) -> Any:
    """The first or the last of the values of a parameter; None if there is none."""
    if code == "_id":
        return resource["id"]
    kind, _ = FIELDS[resource["resourceType"], code]
    values = [value for item in items(resource, code) for value in sort_values(kind, item)]
    return None if not values else max(values) if descending else min(values)


def sort_values(kind: str, item: Any) -> list[Any]:
    match kind:
        case "token":
            return [code for _, code in tokens(item) if code]
        case "string":
            return [folded(item)] if folded(item) else []
        case "date":
            return [date_range(item)[0]]
        case "reference":
            return [item["reference"]] if "reference" in item else []
        case "uri":
            return [item]
        case "quantity" if "value" not in item:
            return []
        case "quantity":
            grams = GRAMS.get(item.get("code"), 1) if item.get("system") == UCUM else 1
            low = number_range(item)[0]
            return [low if low in ENDLESS else low * grams]
    return [number_range(item)[0]]
