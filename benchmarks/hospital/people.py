"""Patient, Practitioner, Organization and Location."""

from bisect import bisect_right
from functools import cache, lru_cache
from random import Random
from typing import Any

from benchmarks.hospital import rare
from benchmarks.hospital.catalogue import SNOMED, TERMINOLOGY, catalogue, zipf
from benchmarks.hospital.facts import Hospital

Resource = dict[str, Any]

SYSTEM = "https://hospital.example.org"
MEDICAL_RECORD = f"{SYSTEM}/medical-record-number"

_LANGUAGES = ("en-GB", "en-GB", "en-GB", "en-GB", "gd", "pl", "ur", "zh")
_MARITAL = (("M", "Married"), ("S", "Never Married"), ("D", "Divorced"), ("W", "Widowed"))
_ROLES = (("Dr.", "MD"), ("Dr.", "PhD"), ("", "RN"))


def concept(system: str, code: str, display: str) -> Resource:
    """A CodeableConcept of one Coding."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def identifier(name: str, number: int) -> list[Resource]:
    """What the hospital calls the resource."""
    return [{"use": "official", "system": f"{SYSTEM}/{name}", "value": f"{name[:3]}{number:08}"}]


def medical_record_number(number: int) -> str:
    """A patient's number in the hospital."""
    return f"MRN{number:07}"


def subject(hospital: Hospital, patient: int) -> Resource:
    """A reference to a patient, with the name."""
    given, family = name_of(hospital, patient)
    return {
        "reference": hospital.reference("Patient", patient),
        "display": f"{given} {family}",
    }


def doctor(hospital: Hospital, practitioner: int) -> Resource:
    """A reference to a practitioner."""
    return {"reference": hospital.reference("Practitioner", practitioner)}


def department(hospital: Hospital, organization: int) -> Resource:
    """A reference to an organization, with its name."""
    return {
        "reference": hospital.reference("Organization", organization),
        "display": department_name(organization),
    }


@cache
def _shares(name: str) -> list[float]:
    exponents = {"families": 1.0, "female_names": 0.8, "male_names": 0.8, "cities": 0.9}
    return zipf(len(getattr(catalogue(), name)), exponents[name])


def is_female(hospital: Hospital, patient: int) -> bool:
    """Whether a patient's administrative gender is female."""
    return hospital.chance("gender", patient) < 0.51


@lru_cache(maxsize=20_000)
def name_of(hospital: Hospital, patient: int) -> tuple[str, str]:
    """A patient's first given name and family name."""
    known = catalogue()
    group = rare.family_of(patient)
    if group is None:
        rank = bisect_right(_shares("families"), hospital.chance("family", patient))
        family = known.families[rank]
    else:
        family = known.rare_families[group]
    kind = "female_names" if is_female(hospital, patient) else "male_names"
    rank = bisect_right(_shares(kind), hospital.chance("given", patient))
    return getattr(known, kind)[rank], family


def city_of(hospital: Hospital, patient: int) -> str:
    """Where a patient lives."""
    return catalogue().cities[bisect_right(_shares("cities"), hospital.chance("city", patient))]


def department_name(organization: int) -> str:
    """The name of an organization: the first of each department has no number."""
    names = catalogue().departments
    place, index = divmod(organization, len(names))
    return f"{names[index]} {place + 1}" if place else names[index]


def _address(random: Random, city: str) -> list[Resource]:
    street = random.choice(catalogue().streets)
    return [
        {
            "use": "home",
            "line": [f"{random.randrange(1, 300)} {street}"],
            "city": city,
            "postalCode": f"EH{random.randrange(1, 55)} {random.randrange(1, 10)}AA",
            "country": "GB",
        }
    ]


def patient(hospital: Hospital, number: int, random: Random) -> Resource:
    given, family = name_of(hospital, number)
    female = is_female(hospital, number)
    others = catalogue().female_names if female else catalogue().male_names
    year = 2024 - int(95 * random.betavariate(1.6, 1.4))
    made: Resource = {
        "resourceType": "Patient",
        "id": hospital.id("Patient", number),
        "identifier": [
            {
                "use": "usual",
                "type": concept(f"{TERMINOLOGY}/v2-0203", "MR", "Medical record number"),
                "system": MEDICAL_RECORD,
                "value": medical_record_number(number),
            },
            *identifier("person", number),
        ],
        "active": random.random() < 0.97,
        "name": [{"use": "official", "family": family, "given": [given, random.choice(others)]}],
        "telecom": [
            {"system": "phone", "value": f"0131 496 {random.randrange(10_000):04}", "use": "home"},
            {"system": "email", "value": f"p{number}@example.org"},
        ],
        "gender": "female" if female else "male",
        "birthDate": f"{year}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}",
        "address": _address(random, city_of(hospital, number)),
        "maritalStatus": concept(f"{TERMINOLOGY}/v3-MaritalStatus", *random.choice(_MARITAL)),
        "communication": [
            {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": language}]}}
            for language in (random.choice(_LANGUAGES),)
        ],
        "generalPractitioner": [
            doctor(hospital, random.randrange(hospital.counts["Practitioner"]))
        ],
        "managingOrganization": department(hospital, 3),
    }
    if year < 1950 and random.random() < 0.4:
        made["deceasedDateTime"] = f"{random.randrange(2012, 2025)}-{random.randrange(1, 13):02}"
    return made


def practitioner(hospital: Hospital, number: int, random: Random) -> Resource:
    known = catalogue()
    prefix, degree = random.choice(_ROLES)
    name = {
        "family": random.choice(known.families),
        "given": [random.choice(known.female_names + known.male_names)],
    }
    return {
        "resourceType": "Practitioner",
        "id": hospital.id("Practitioner", number),
        "identifier": identifier("practitioner", number),
        "active": True,
        "name": [name | ({"prefix": [prefix]} if prefix else {})],
        "telecom": [{"system": "email", "value": f"d{number}@example.org", "use": "work"}],
        "address": _address(random, known.cities[0]),
        "gender": random.choice(("female", "male")),
        "qualification": [
            {"code": concept(f"{TERMINOLOGY}/v2-0360", degree, degree)},
        ],
    }


def organization(hospital: Hospital, number: int, random: Random) -> Resource:
    return {
        "resourceType": "Organization",
        "id": hospital.id("Organization", number),
        "identifier": [
            *identifier("organization", number),
            {"system": f"{SYSTEM}/population", "value": f"{hospital.size}-{hospital.seed}"},
        ],
        "active": True,
        "type": [concept(f"{TERMINOLOGY}/organization-type", "dept", "Hospital Department")],
        "name": department_name(number),
        "telecom": [{"system": "phone", "value": f"0131 496 {random.randrange(10_000):04}"}],
        "address": [a | {"use": "work"} for a in _address(random, catalogue().cities[0])],
    }


def location(hospital: Hospital, number: int, random: Random) -> Resource:
    places = catalogue().places
    return {
        "resourceType": "Location",
        "id": hospital.id("Location", number),
        "identifier": identifier("location", number),
        "status": "active",
        "name": f"{places[number % len(places)]} {1 + number // len(places)}",
        "mode": "instance",
        "type": [concept(f"{TERMINOLOGY}/v3-RoleCode", "HU", "Hospital unit")],
        "physicalType": concept(SNOMED, "225746001", "Ward"),
        "position": {
            "longitude": round(-3.2 + random.random() / 5, 5),
            "latitude": round(55.9 + random.random() / 10, 5),
        },
        "managingOrganization": department(
            hospital, random.randrange(hospital.counts["Organization"])
        ),
    }
