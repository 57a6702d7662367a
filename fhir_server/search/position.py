"""`near`: locations within a distance of a point (R4 location.html#search)."""

import math
from decimal import Decimal, InvalidOperation

from fhir_server.search import keys
from fhir_server.search.conditions import (
    Circumstances,
    Column,
    Condition,
    PredicateError,
    split_bar,
)
from fhir_server.search.parameters import SearchParameter

# Kilometres of one unit, by UCUM code and by what people write.
_KILOMETRES = {"km": 1.0, "m": 0.001, "[mi_us]": 1.609347, "[mi_i]": 1.609344, "mi": 1.609344}
_DEFAULT_DISTANCE = 10.0
_EARTH_RADIUS = 6371.0088
_KILOMETRES_OF_A_DEGREE = 110.0

_WITHIN = """exists (
 select from {s}.number_value lat join {s}.number_value lon on lon.rid = lat.rid
 where lat.rid = {r}.rid and lat.parameter = %s{place} and lon.parameter = %s{place}
   and lat.low between %s and %s and lon.low between %s and %s
   and 2 * %s * asin(least(1, sqrt(
         power(sin(radians(lat.low::float8 - %s) / 2), 2)
         + cos(radians(%s)) * cos(radians(lat.low::float8))
           * power(sin(radians(lon.low::float8 - %s) / 2), 2)))) <= %s)"""


def near(parameter: SearchParameter, value: str, where: Circumstances) -> Condition:
    """`latitude|longitude|distance|units`; 10 km when no distance is given, km when no units."""
    latitude, longitude, kilometres = _point(value)
    north = kilometres / _KILOMETRES_OF_A_DEGREE
    east = north / max(math.cos(math.radians(min(89.9, abs(latitude) + north))), 1e-6)
    if abs(latitude) + north >= 89 or abs(longitude) + east >= 180:
        east = 360.0
    hashes = (
        keys.hash64(_name(parameter, keys.LATITUDE)),
        keys.hash64(_name(parameter, keys.LONGITUDE)),
    )
    box = (latitude - north, latitude + north, longitude - east, longitude + east)
    exact = (_EARTH_RADIUS, latitude, latitude, longitude, kilometres)
    return Column(_WITHIN, (*hashes, *map(Decimal, map(str, box)), *exact))


def _name(parameter: SearchParameter, part: str) -> str:
    return keys.parameter_name(parameter.resource_type, parameter.code, part)


def _point(value: str) -> tuple[float, float, float]:
    parts = split_bar(value)
    try:
        numbers = [float(Decimal(part)) for part in parts[:3] if part]
    except InvalidOperation:
        numbers = []
    unit = parts[3] if len(parts) > 3 else "km"
    fits = 2 <= len(parts) <= 4 and len(numbers) == len([part for part in parts[:3] if part])
    if not fits or len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        raise PredicateError(
            "expected latitude|longitude|distance|units, such as 42.25|-83.69|11|km"
        )
    latitude, longitude, *distance = numbers
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise PredicateError("expected a latitude within 90 and a longitude within 180 degrees")
    if unit not in _KILOMETRES:
        raise PredicateError(f"the unit {unit!r} is not known; expected {', '.join(_KILOMETRES)}")
    kilometres = (distance[0] if distance else _DEFAULT_DISTANCE) * _KILOMETRES[unit]
    if kilometres < 0:
        raise PredicateError("expected a distance of 0 or more")
    return latitude, longitude, kilometres
