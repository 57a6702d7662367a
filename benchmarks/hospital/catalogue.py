"""Names, places and codes, most frequent first; facts of terminologies only."""

import json
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

BLOOD_PRESSURE = "85354-9"
SYSTOLIC = "8480-6"
DIASTOLIC = "8462-4"
HEART_RATE = "8867-4"
TEMPERATURE = "8310-5"
OXYGEN_SATURATION = "59408-5"
CREATINE_KINASE = "2157-6"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What an Observation can measure; blood pressure has two values and no own range."""

    code: str
    display: str
    mean: float
    spread: float
    decimals: int
    unit: str
    ucum: str
    low: float
    high: float
    weight: float = 0.0
    vital_sign: bool = False


@dataclass(frozen=True, slots=True)
class Coded:
    """A condition, procedure, medication or order; `modality` is of imaging only."""

    code: str
    display: str
    modality: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything the resources are made of, as lists from frequent to seldom."""

    families: list[str]
    rare_families: list[str]
    female_names: list[str]
    male_names: list[str]
    cities: list[str]
    streets: list[str]
    departments: list[str]
    places: list[str]
    vital_signs: list[Measurement]
    new_vital_sign: Measurement
    laboratory: list[Measurement]
    rare_laboratory: list[Measurement]
    conditions: list[Coded]
    procedures: list[Coded]
    medications: list[Coded]
    laboratory_orders: list[Coded]
    imaging_orders: list[Coded]

    def measurement(self, code: str) -> Measurement:
        """The one with a LOINC code. Raises KeyError."""
        everything = [*self.vital_signs, self.new_vital_sign, *self.laboratory]
        found = {item.code: item for item in everything + self.rare_laboratory}
        return found[code]


@cache
def catalogue() -> Catalogue:
    """The catalogue beside this module."""
    facts: dict[str, Any] = json.loads(Path(__file__).with_name("catalogue.json").read_bytes())

    def coded(name: str) -> list[Coded]:
        return [Coded(**item) for item in facts[name]]

    return Catalogue(
        families=facts["families"],
        rare_families=facts["rareFamilies"],
        female_names=facts["femaleNames"],
        male_names=facts["maleNames"],
        cities=facts["cities"],
        streets=facts["streets"],
        departments=facts["departments"],
        places=facts["places"],
        vital_signs=[Measurement(**item, vital_sign=True) for item in facts["vitalSigns"]],
        new_vital_sign=Measurement(**facts["newVitalSign"], vital_sign=True),
        laboratory=[Measurement(**item) for item in facts["laboratory"]],
        rare_laboratory=[Measurement(**item) for item in facts["rareLaboratory"]],
        conditions=coded("conditions"),
        procedures=coded("procedures"),
        medications=coded("medications"),
        laboratory_orders=coded("laboratoryOrders"),
        imaging_orders=coded("imagingOrders"),
    )


def zipf(count: int, exponent: float = 1.0) -> list[float]:
    """Cumulated shares of ranks, the last one 1: `bisect` of a number in [0, 1) finds a rank."""
    return cumulated([1.0 / rank**exponent for rank in range(1, count + 1)])


def cumulated(weights: list[float]) -> list[float]:
    """Cumulated shares of weights."""
    total = sum(weights)
    shares = [share / total for share in accumulate(weights)]
    shares[-1] = 1.0
    return shares
