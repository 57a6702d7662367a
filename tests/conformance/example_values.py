"""What the official examples can be searched by: values read plainly through FHIRPath.

Nothing here is shared with the search index: an expression of R4 finds elements, a few lines for
each data type say what they are found by, and values are compared as R4 search.html tells.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import product
from typing import Any, TypeAlias

from fhir_server import fhirpath
from fhir_server.fhirpath import Compiled, Node
from fhir_server.search.parameters import SearchParameter, SearchParameters
from fhir_server.ucum import convert

UCUM = "http://unitsofmeasure.org"
PARAMETERS = SearchParameters()

# What an element is found by; of a composite one for each component.
Value: TypeAlias = Any

_LEAST, _MOST = Decimal("-1e400"), Decimal("1e400")
_EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


@cache
def _compiled(source: str) -> Compiled:
    return fhirpath.compile(source, as_filters=True)


def values(parameter: SearchParameter, resource: dict[str, Any]) -> list[Value]:
    """Everything that a resource can be found by under a parameter."""
    nodes = _compiled(str(parameter.definition.expression)).evaluate_nodes(resource)
    if parameter.type == "composite":
        return [found for node in nodes for found in _composed(parameter, node)]
    targets = parameter.targets
    return [found for node in nodes for found in _values(parameter.type, node, targets)]


def _composed(parameter: SearchParameter, item: Node) -> Iterator[tuple[Value, ...]]:
    parts = [
        [
            found
            for node in _compiled(component.expression).evaluate_nodes(item)
            for found in _values(component.type, node, component.definition.targets)
        ]
        for component in PARAMETERS.components(parameter)
    ]
    yield from product(*parts)


def _values(kind: str, node: Node, targets: Sequence[str]) -> Iterable[Value]:
    if node.value is None:
        return ()
    match kind:
        case "token":
            return _tokens(node.type, node.value)
        case "string":
            return [text for text in _texts(node.value) if folded(text)]
        case "reference":
            return _references(node.value, targets)
        case "date":
            return () if node.type == "string" else _periods(node.value)
        case "number" | "quantity":
            return _numbers(node.value)
        case "special":
            return [(float(node.value["latitude"]), float(node.value["longitude"]))]
    return [str(node.value)]


def _tokens(type_: str, value: Any) -> Iterator[tuple[str | None, str]]:
    """System and code; the system is `*` where it depends on what the element is bound to."""
    match value:
        case bool():
            yield None, str(value).lower()
        case str():
            yield "*" if type_ == "code" else None, value
        case {"coding": codings}:
            yield from ((item.get("system"), item["code"]) for item in codings if "code" in item)
        case {"code": str(code)}:
            yield value.get("system"), code
        case {"value": str(text)}:
            yield None if type_ == "ContactPoint" else value.get("system"), text


def _texts(value: Any) -> Iterator[str]:
    names = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state",
             "postalCode", "country")  # fmt: skip
    if isinstance(value, str):
        yield value
        return
    for name in names:
        part = value.get(name) or ()
        yield from [part] if isinstance(part, str) else [text for text in part if text]


def _references(value: Any, targets: Sequence[str]) -> Iterator[str]:
    if isinstance(value, str):
        # What is neither a URL nor Type/id cannot be asked for.
        if not value.startswith("#") and ("/" in value or ":" in value):
            yield value
    elif "resourceType" in value:
        if value["resourceType"] in targets and "id" in value:
            yield f"{value['resourceType']}/{value['id']}"
    elif not (text := value.get("reference", "#")).startswith("#"):
        yield text.partition("/_history/")[0]


def moments(text: str) -> tuple[datetime, datetime]:
    """The first moment of a date, dateTime or instant, and the first one after it."""
    if len(text) <= 10:
        year, month, day = [*map(int, text.split("-")), 1, 1][:3]
        first = datetime(year, month, day, tzinfo=UTC)
        match text.count("-"):
            case 0:
                return first, first.replace(year=year + 1)
            case 1:
                return first, (first + timedelta(days=31)).replace(day=1)
        return first, first + timedelta(days=1)
    first = datetime.fromisoformat(text)
    first = first if first.tzinfo else first.replace(tzinfo=UTC)
    fraction = text[19:].partition("Z")[0].partition("+")[0].partition("-")[0]
    return first, first + timedelta(seconds=10.0 ** (1 - len(fraction)) if fraction else 1)


def _periods(value: Any) -> Iterator[tuple[datetime, datetime]]:
    if isinstance(value, str):
        yield moments(value)
        return
    if "event" in value or "repeat" in value:
        period = value.get("repeat", {}).get("boundsPeriod", {})
        spans = [moments(text) for text in value.get("event", ())] + list(_periods(period))
        if spans:
            yield min(start for start, _ in spans), max(end for _, end in spans)
    elif "start" in value or "end" in value:
        start = moments(value["start"])[0] if "start" in value else _EVER[0]
        end = moments(value["end"])[1] if "end" in value else _EVER[1]
        if start < end:
            yield start, end


def _numbers(value: Any) -> Iterator[tuple[Decimal, Decimal, str, str]]:
    """The lowest and the highest number, the system and the code of the unit."""
    if not isinstance(value, dict):
        yield Decimal(str(value)), Decimal(str(value)), "", ""
    elif "low" in value or "high" in value:
        low, high = value.get("low") or {}, value.get("high") or {}
        unit = low or high
        yield (
            Decimal(str(low["value"])) if "value" in low else _LEAST,
            Decimal(str(high["value"])) if "value" in high else _MOST,
            unit.get("system", ""),
            unit.get("code", ""),
        )
    elif "value" in value:
        number = Decimal(str(value["value"]))
        tiny = Decimal("1e-40")
        low, high = {
            "<": (_LEAST, number - tiny),
            "<=": (_LEAST, number),
            ">": (number + tiny, _MOST),
            ">=": (number, _MOST),
        }.get(value.get("comparator", ""), (number, number))
        if "currency" in value:
            yield low, high, "urn:iso:std:iso:4217", value["currency"]
        else:
            yield low, high, value.get("system", ""), value.get("code", "")


def folded(text: str) -> str:
    """Without case, accents and surplus space (R4 search.html#string)."""
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(bare.casefold().split())


@dataclass(frozen=True, slots=True)
class Asked:
    """A search value: as it is written, and what it means; of a composite, its parts."""

    text: str
    meaning: Any


def asked(kinds: Sequence[str], stored: Value) -> Asked:
    """A search value that finds what is stored.

    kinds: of the parameter, or of the components of a composite one.
    """
    if len(kinds) == 1:
        return _ASKED[kinds[0]](stored)
    parts = [_ASKED[kind](part) for kind, part in zip(kinds, stored, strict=True)]
    return Asked("$".join(part.text for part in parts), parts)


def meets(kinds: Sequence[str], stored: Value, value: Asked) -> bool:
    """Whether a search value finds what is stored."""
    if len(kinds) == 1:
        return _MEETS[kinds[0]](stored, value.meaning)
    return all(
        _MEETS[kind](part, sought.meaning)
        for kind, part, sought in zip(kinds, stored, value.meaning, strict=True)
    )


def elsewhere(kinds: Sequence[str]) -> Asked:
    """A search value that finds no example."""
    values: dict[str, Value] = {
        "token": ("http://example.org/nothing", "nothing"),
        "string": "nothing is called so",
        "reference": "http://example.org/nothing",
        "uri": "http://example.org/nothing",
        "date": moments("2999-12-31"),
        "number": (Decimal("987654321"),) * 2 + ("", ""),
        "quantity": (Decimal("987654321"),) * 2 + ("", ""),
        "special": (-89.0, 179.0),
    }
    found = [values[kind] for kind in kinds]
    return asked(kinds, found[0] if len(kinds) == 1 else found)


def _escaped(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, "\\" + character)
    return text


def _asked_token(stored: tuple[str | None, str]) -> Asked:
    system, code = stored
    plain = system in (None, "*")
    return Asked(
        _escaped(code) if plain else f"{_escaped(str(system))}|{_escaped(code)}",
        (None if plain else system, code),
    )


def _asked_text(stored: str) -> Asked:
    text = stored[:60].strip()
    return Asked(_escaped(text), folded(text))


def _asked_uri(stored: str) -> Asked:
    text = stored.partition("|")[0]
    return Asked(_escaped(text), text)


def _asked_date(stored: tuple[datetime, datetime]) -> Asked:
    start, end = stored
    if start == _EVER[0]:
        day = (end - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return Asked(f"le{day:%Y-%m-%d}", ("le", day))
    day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    prefix = "eq" if end <= day + timedelta(days=1) else "ge"
    return Asked(f"{prefix}{day:%Y-%m-%d}", (prefix, day))


def _asked_number(stored: tuple[Decimal, Decimal, str, str]) -> Asked:
    low, high, system, code = stored
    prefix = "eq" if low == high else "ge" if low > _LEAST else "le"
    number = high if prefix == "le" else low
    unit = f"|{system}|{_escaped(code)}" if system and code else ""
    return Asked(
        f"{prefix}{number:f}{unit}", (prefix, number, *((system, code) if unit else ("", "")))
    )


def _asked_position(stored: tuple[float, float]) -> Asked:
    return Asked(f"{stored[0]}|{stored[1]}|1|km", stored)


_ASKED: dict[str, Callable[[Any], Asked]] = {
    "token": _asked_token,
    "string": _asked_text,
    "uri": _asked_uri,
    "reference": _asked_uri,
    "date": _asked_date,
    "number": _asked_number,
    "quantity": _asked_number,
    "special": _asked_position,
}


def _meets_token(stored: tuple[str | None, str], sought: tuple[str | None, str]) -> bool:
    return stored[1] == sought[1] and sought[0] in (None, stored[0])


def _meets_text(stored: str, sought: str) -> bool:
    return folded(stored).startswith(sought)


def _meets_uri(stored: str, sought: str) -> bool:
    return sought in (stored, stored.partition("|")[0])


def _meets_date(stored: tuple[datetime, datetime], sought: tuple[str, datetime]) -> bool:
    prefix, day = sought
    night = day + timedelta(days=1)
    if day <= stored[0] and stored[1] <= night:
        return True
    if prefix == "ge":
        return stored[1] > night
    return prefix == "le" and stored[0] < day


def _meets_number(stored: tuple[Decimal, Decimal, str, str], sought: tuple[Any, ...]) -> bool:
    prefix, number, system, code = sought
    factor = Decimal(1)
    if code and stored[2:] != (system, code):
        if stored[2] != system or system != UCUM:
            return False
        converted = convert(Decimal(1), code, stored[3])
        if converted is None:
            return False
        factor = converted
    if prefix == "ge":
        return bool(stored[1] >= number * factor)
    if prefix == "le":
        return bool(stored[0] <= number * factor)
    half = Decimal(5).scaleb(min(int(number.as_tuple().exponent), 0) - 1)
    return bool((number - half) * factor <= stored[0] and stored[1] < (number + half) * factor)


def _meets_position(stored: tuple[float, float], sought: tuple[float, float]) -> bool:
    return _kilometres(stored, sought) <= 1


_MEETS: dict[str, Callable[[Any, Any], bool]] = {
    "token": _meets_token,
    "string": _meets_text,
    "uri": _meets_uri,
    "reference": _meets_uri,
    "date": _meets_date,
    "number": _meets_number,
    "quantity": _meets_number,
    "special": _meets_position,
}


def _kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    (north, east), (to_north, to_east) = [tuple(map(math.radians, point)) for point in (one, other)]
    cosine = math.sin(north) * math.sin(to_north)
    cosine += math.cos(north) * math.cos(to_north) * math.cos(east - to_east)
    return 6371.0 * math.acos(max(-1.0, min(1.0, cosine)))
