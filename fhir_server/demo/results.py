"""What reports of the hospital say."""

from random import Random
from typing import Any

from fhir_server.demo.tables import BASE, concept

Json = dict[str, Any]

_LOINC = "http://loinc.org"
_UCUM = "http://unitsofmeasure.org"
_CRITICAL = {
    "coding": [{"system": f"{BASE}/CodeSystem/reference-range-meaning", "code": "critical"}]
}
# How many of a hundred values lie beyond their range, and how many reports of a hundred.
_VALUES_BEYOND = 12
_REPORTS_BEYOND = 40


def findings(random: Random, what: Json) -> list[Json]:
    """The parameters of a report in words."""
    result = "abnormal" if random.randrange(100) < _REPORTS_BEYOND else "normal"
    seen, impression = what[result]
    return _report(seen, impression, f"{what['name']}. {seen} {impression}", result)


def laboratory_results(random: Random, what: Json) -> list[Json]:
    """The parameters of a report with a value for each member of a panel."""
    results = [_observation(random, member) for member in what["members"]]
    beyond = [name for name, place, _ in results if place != "normal"]
    places = {place for _, place, _ in results}
    result = next(each for each in ("critical", "abnormal", "normal") if each in places)
    if beyond:
        seen = f"Outside of the reference range: {', '.join(beyond)}."
        impression = "Results outside of the reference ranges; see values."
    else:
        seen = "All values lie within their reference ranges."
        impression = "Results within the reference ranges."
    text = f"{what['name']}. {seen} {impression}"
    observations = [{"name": "observation", "resource": each} for _, _, each in results]
    return [*_report(seen, impression, text, result), *observations]


def _report(seen: str, impression: str, text: str, result: str) -> list[Json]:
    return [
        {"name": "findings", "valueString": seen},
        {"name": "impression", "valueString": impression},
        {"name": "text", "valueString": text},
        {"name": "result", "valueCode": result},
    ]


def _observation(random: Random, member: Json) -> tuple[str, str, Json]:
    """A result with what it is of and where it lies: normal, abnormal or critical."""
    low, high = member["low"], member["high"]
    width = high - low
    value = low + width * random.uniform(0.05, 0.95)
    if random.randrange(100) < _VALUES_BEYOND:
        value = high + width * random.uniform(0.1, 0.9)
    value = round(value, member["decimals"])
    least, most = member["critical"]
    critical = (least is not None and value < least) or (most is not None and value > most)
    place = "critical" if critical else "normal" if low <= value <= high else "abnormal"
    ranges = [_range(member, low, high)]
    if least is not None or most is not None:
        ranges.append(_range(member, least, most) | {"type": _CRITICAL})
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(_LOINC, member["code"], member["display"]),
        "valueQuantity": _quantity(member, value),
        "referenceRange": ranges,
    }
    return member["display"], place, observation


def _range(member: Json, low: float | None, high: float | None) -> Json:
    ends = {"low": low, "high": high}
    return {name: _quantity(member, end) for name, end in ends.items() if end is not None}


def _quantity(member: Json, value: float) -> Json:
    return {"value": value, "unit": member["unit"], "system": _UCUM, "code": member["unit"]}
