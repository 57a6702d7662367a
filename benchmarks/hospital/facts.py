"""Who, when and what of each resource, as functions of the hospital's seed and its number."""

import random
from bisect import bisect_right
from datetime import date, timedelta
from functools import lru_cache

from benchmarks.hospital.catalogue import (
    Measurement,
    catalogue,
    cumulated,
    zipf,
)
from benchmarks.hospital.rare import RARE_PATIENTS, RARE_YEAR, Planted, planted

FIRST_DAY = date(2010, 1, 1)
DAYS = 5479  # to the end of 2024
MINUTES = DAYS * 24 * 60
# The second of January, so that no time zone finds it in the year before.
NEW_CODE_FROM = (date(RARE_YEAR + 8, 1, 2) - FIRST_DAY).days * 24 * 60
LEAST_SIZE = 50_000

# Ten-thousandths of the hospital and the least number; Observations are the rest.
_SHARES = {
    "Organization": (2, 12),
    "Location": (5, 20),
    "Practitioner": (10, 20),
    "Patient": (100, 1),
    "Encounter": (1000, 1),
    "Condition": (400, 1),
    "Procedure": (300, 1),
    "MedicationRequest": (400, 1),
    "ServiceRequest": (350, 1),
    "DiagnosticReport": (333, 1),
    "ImagingStudy": (100, 1),
}
TYPES = (*_SHARES, "Observation")

# The first departments' shares of the encounters, in per cent; the others share the rest.
DEPARTMENT_WEIGHTS = (16.0, 14.0, 12.5, 11.5)
LABORATORIES = (5, 6)
_LABORATORY_SHARE = 0.6

_BLOCK_ENCOUNTERS = 10
# An encounter's share of its block's observations: a few have many, most have few.
_BLOCK_SHARES = cumulated([30, 18, 13, 10, 8, 7, 5, 4, 3, 2])
_GROWTH = 0.6  # the exponent that makes recent dates more frequent
_MASK = (1 << 64) - 1
_WHOLE = float(1 << 64)


def mixed(number: int) -> int:
    """A number's 64 bits well mixed (splitmix64): different numbers give different ones."""
    x = (number + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


class Hospital:
    """A hospital of `size` resources, of at least LEAST_SIZE."""

    def __init__(self, size: int, seed: int = 0):
        if size < LEAST_SIZE:
            raise ValueError(f"{size} resources; expected at least {LEAST_SIZE}")
        self.size = size
        self.seed = seed
        self.counts = {
            type_: max(least, size * share // 10_000) for type_, (share, least) in _SHARES.items()
        }
        self.counts["Observation"] = size - sum(self.counts.values())
        self.planted: dict[int, Planted] = planted(self.counts["Observation"])
        self._salts = {
            name: mixed(mixed(seed) ^ index) for index, name in enumerate((*TYPES, *_PURPOSES))
        }
        self._prepare_choices()
        self.reference = lru_cache(maxsize=50_000)(self._reference)

    def _prepare_choices(self) -> None:
        known = catalogue()
        patients = list(range(RARE_PATIENTS, self.counts["Patient"]))
        random.Random(self.seed).shuffle(patients)
        self._patients = patients
        self._patient_shares = zipf(len(patients), 0.7)
        others = self.counts["Organization"] - len(DEPARTMENT_WEIGHTS)
        seldom = _sharing(100.0 - sum(DEPARTMENT_WEIGHTS), others)
        self._department_shares = cumulated([*DEPARTMENT_WEIGHTS, *seldom])
        self._practitioner_shares = zipf(self.counts["Practitioner"], 0.7)
        vital = [item.weight for item in known.vital_signs]
        laboratory = _sharing(100.0 - sum(vital), len(known.laboratory))
        self._measurements = [*known.vital_signs, *known.laboratory]
        self._measurement_shares = cumulated([*vital, *laboratory])
        self._new_share = known.new_vital_sign.weight / 100.0
        self._new = known.new_vital_sign

    def chance(self, purpose: str, number: int) -> float:
        """A number in [0, 1) that never changes."""
        return mixed(self._salts[purpose] ^ number) / _WHOLE

    @staticmethod
    def first_reference(seed: int) -> str:
        """The Organization that tells how large the hospital of a seed is, whatever its size."""
        return Hospital(LEAST_SIZE, seed).reference("Organization", 0)

    def id(self, type_: str, number: int) -> str:
        """The logical id: a UUID in form, and in no order."""
        first = mixed(self._salts[type_] + number)
        text = f"{first:016x}{mixed(first):016x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def _reference(self, type_: str, number: int) -> str:
        return f"{type_}/{self.id(type_, number)}"

    # Encounters, in the order in which they came into the database

    def encounter_minute(self, number: int) -> int:
        """When it began, in minutes since FIRST_DAY: only loosely by its place in the order."""
        chance = self.chance("time", number)
        if chance < 0.3:  # taken over from older systems at any time
            place = chance / 0.3
        else:
            jitter = ((chance - 0.3) / 0.7 - 0.5) * 0.12
            place = abs(number / self.counts["Encounter"] + jitter)
            place = 2.0 - place if place > 1.0 else place
        return min(int(place**_GROWTH * MINUTES), MINUTES - 1)

    def patient_of(self, encounter: int) -> int:
        """Whose it is: few patients have very many, and only those registered by then any."""
        rank = bisect_right(self._patient_shares, self.chance("patient", encounter))
        number = self._patients[rank]
        registered = 0.5 + 0.5 * encounter / self.counts["Encounter"]
        available = max(int(registered * self.counts["Patient"]) - RARE_PATIENTS, 1)
        return RARE_PATIENTS + (number - RARE_PATIENTS) % available

    def busiest(self, count: int) -> list[int]:
        """Patients with the most encounters, known from the beginning on."""
        early = self.counts["Patient"] // 2
        return [number for number in self._patients if number < early][:count]

    def department_of(self, encounter: int) -> int:
        """The Organization that provides it."""
        return bisect_right(self._department_shares, self.chance("department", encounter))

    def practitioner_of(self, encounter: int) -> int:
        """Who treats the patient."""
        return bisect_right(self._practitioner_shares, self.chance("practitioner", encounter))

    # Observations

    def encounter_of(self, observation: int) -> int:
        """The encounter in which it was made: some have dozens, most a few."""
        place = observation * self.counts["Encounter"] // self.counts["Observation"]
        within = bisect_right(_BLOCK_SHARES, self.chance("encounter", observation))
        block = place - place % _BLOCK_ENCOUNTERS
        return min(block + within, self.counts["Encounter"] - 1)

    def observations_near(self, encounter: int) -> range:
        """All observations that can be of an encounter's block."""
        ratio = self.counts["Observation"] / self.counts["Encounter"]
        block = encounter - encounter % _BLOCK_ENCOUNTERS
        end = min(int((block + _BLOCK_ENCOUNTERS) * ratio) + 1, self.counts["Observation"])
        return range(int(block * ratio), end)

    def observations_of(self, encounter: int) -> list[int]:
        """The observations made in an encounter, but for those planted."""
        return [
            number
            for number in self.observations_near(encounter)
            if self.encounter_of(number) == encounter and number not in self.planted
        ]

    def measurement_of(self, observation: int, minute: int) -> Measurement:
        """What an observation that is not planted measures: pulse oximetry only came later."""
        chance = self.chance("code", observation)
        if minute >= NEW_CODE_FROM:
            if chance < self._new_share:
                return self._new
            chance = (chance - self._new_share) / (1.0 - self._new_share)
        return self._measurements[bisect_right(self._measurement_shares, chance)]

    def laboratory_of(self, observation: int) -> int:
        """The Organization that measured a laboratory value."""
        first = self.chance("laboratory", observation) < _LABORATORY_SHARE
        return LABORATORIES[0] if first else LABORATORIES[1]


def _sharing(total: float, count: int) -> list[float]:
    """A total divided among ranks by Zipf's law."""
    weights = [1.0 / rank for rank in range(1, count + 1)]
    return [total * weight / sum(weights) for weight in weights]


_PURPOSES = (
    "time", "patient", "department", "practitioner", "encounter", "code", "laboratory",
    "family", "given", "gender", "city", "concept",
)  # fmt: skip

_DATES = tuple((FIRST_DAY + timedelta(days)).isoformat() for days in range(DAYS + 30))


def day(minute: int) -> str:
    """The date of a minute since FIRST_DAY."""
    return _DATES[minute // 1440]


def instant(minute: int) -> str:
    """A minute since FIRST_DAY as an instant."""
    return f"{_DATES[minute // 1440]}T{minute % 1440 // 60:02}:{minute % 60:02}:00+01:00"
