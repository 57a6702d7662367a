"""What a measured value means beside its reference ranges (R4 observation.html#notes).

Nothing is guessed: ranges in other units, of other kinds or for other people give no meaning.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from fhir_server.workflow.canonicals import BASE

Resource = dict[str, Any]

SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
RANGE_MEANING = "http://terminology.hl7.org/CodeSystem/referencerange-meaning"
# Beyond it a value is critical, which HL7 has no code for.
OWN_RANGE_MEANING = f"{BASE}/CodeSystem/reference-range-meaning"

NORMAL, LOW, HIGH, CRITICAL_LOW, CRITICAL_HIGH = "N", "L", "H", "LL", "HH"
DISPLAYS = {
    NORMAL: "Normal", LOW: "Low", HIGH: "High",
    CRITICAL_LOW: "Critical low", CRITICAL_HIGH: "Critical high",
}  # fmt: skip
# What lies outside, whoever said so: critical, or at least not normal.
CRITICAL = frozenset({"LL", "HH", "AA"})
ABNORMAL = CRITICAL | {"L", "H", "A", "LU", "HU", "POS"}


def interpreted(observation: Resource) -> Resource:
    """An observation with its interpretation, as far as that is not given and ranges tell it."""
    if components := observation.get("component"):
        observation = observation | {"component": [interpreted(each) for each in components]}
    if observation.get("interpretation"):
        return observation
    code = interpretation(observation)
    return observation | {"interpretation": [concept(code)]} if code else observation


def concept(code: str) -> Resource:
    """An interpretation as a CodeableConcept."""
    return {"coding": [{"system": SYSTEM, "code": code, "display": DISPLAYS[code]}]}


def interpretation(observation: Resource) -> str | None:
    """The code of what a value means; None where no range tells."""
    quantity = observation.get("valueQuantity")
    ranges = observation.get("referenceRange", ())
    if not quantity or "value" not in quantity:
        return None
    critical = _place(quantity, [each for each in ranges if _meaning(each) == "critical"])
    if critical in (LOW, HIGH):
        return CRITICAL_LOW if critical == LOW else CRITICAL_HIGH
    return _place(quantity, [each for each in ranges if _meaning(each) == "normal"])


def codes(observation: Resource) -> Iterator[str]:
    """The codes of the interpretations that an observation and its components have."""
    for part in (observation, *observation.get("component", ())):
        for each in part.get("interpretation", ()):
            for coding in each.get("coding", ()):
                if coding.get("system") == SYSTEM and "code" in coding:
                    yield coding["code"]


def _meaning(given: Resource) -> str:
    """What a range is; one that says nothing is the normal range (R4 observation.html#obs-ranges).

    One for certain people or ages is none: whether it is meant here is not known.
    """
    if given.get("appliesTo") or given.get("age"):
        return ""
    type_ = given.get("type")
    if type_ is None:
        return "normal"
    for coding in type_.get("coding", ()):
        if (coding.get("system"), coding.get("code")) == (OWN_RANGE_MEANING, "critical"):
            return "critical"
        if (coding.get("system"), coding.get("code")) == (RANGE_MEANING, "normal"):
            return "normal"
    return ""


def _place(quantity: Resource, ranges: Sequence[Resource]) -> str | None:
    """Where a value lies beside the one range of a kind; None where that cannot be said."""
    if len(ranges) != 1:
        return None
    low, high = ranges[0].get("low"), ranges[0].get("high")
    if any(end is not None and not _comparable(quantity, end) for end in (low, high)):
        return None
    value = Decimal(quantity["value"])
    comparator = quantity.get("comparator", "")
    if low is not None and _below(value, comparator, Decimal(low["value"])):
        return LOW
    if high is not None and _above(value, comparator, Decimal(high["value"])):
        return HIGH
    if comparator or (low is None and high is None):
        return None
    return NORMAL


def _below(value: Decimal, comparator: str, low: Decimal) -> bool:
    """Whether a value is certainly below a bound; `<5` is below 5 and below 6."""
    if comparator == "<":
        return value <= low
    return comparator in ("", "<=") and value < low


def _above(value: Decimal, comparator: str, high: Decimal) -> bool:
    if comparator == ">":
        return value >= high
    return comparator in ("", ">=") and value > high


def _comparable(quantity: Resource, bound: Resource) -> bool:
    """Whether a value and a bound are of one unit; a bound without one has that of the value."""
    if "value" not in bound:
        return False
    if "code" in quantity and "code" in bound:
        return (quantity.get("system"), quantity["code"]) == (bound.get("system"), bound["code"])
    unit = bound.get("unit") or bound.get("code")
    return unit is None or unit in (quantity.get("unit"), quantity.get("code"))
