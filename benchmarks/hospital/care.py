"""Encounter, Condition, Procedure and MedicationRequest."""

from bisect import bisect_right
from functools import cache
from random import Random

from benchmarks.hospital.catalogue import RXNORM, SNOMED, TERMINOLOGY, Coded, catalogue, zipf
from benchmarks.hospital.facts import Hospital, day, instant
from benchmarks.hospital.people import (
    Resource,
    concept,
    department,
    doctor,
    identifier,
    subject,
)

_CLASSES = (("AMB", "ambulatory"), ("IMP", "inpatient encounter"), ("EMER", "emergency"))
_CLASS_OF = (0, 0, 0, 0, 0, 0, 0, 1, 1, 2)
_KINDS = (
    ("185349003", "Encounter for check up"),
    ("185345009", "Encounter for symptom"),
    ("50849002", "Emergency room admission"),
)


@cache
def _ranks(count: int) -> list[float]:
    return zipf(count)


def chosen(hospital: Hospital, type_: str, number: int, among: list[Coded]) -> Coded:
    """One of the concepts, the first ones most often; always the same for a resource."""
    chance = hospital.chance("concept", (len(type_) << 40) + number)
    return among[bisect_right(_ranks(len(among)), chance)]


def encounter_for(hospital: Hospital, type_: str, number: int) -> int:
    """The encounter at which a resource came about: about as early in the order as itself."""
    encounters = hospital.counts["Encounter"]
    place = number * encounters // hospital.counts[type_]
    jitter = int(hospital.chance("encounter", number + (len(type_) << 40)) * 40)
    return min(place + jitter, encounters - 1)


def encounter(hospital: Hospital, number: int, random: Random) -> Resource:
    minute = hospital.encounter_minute(number)
    code, display = _CLASSES[kind := random.choice(_CLASS_OF)]
    stay = random.randrange(15, 180) if kind != 1 else random.randrange(1, 15) * 1440
    location = random.randrange(hospital.counts["Location"])
    return {
        "resourceType": "Encounter",
        "id": hospital.id("Encounter", number),
        "identifier": identifier("visit", number),
        "status": "finished" if random.random() < 0.97 else "in-progress",
        "class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": code, "display": display},
        "type": [concept(SNOMED, *_KINDS[kind])],
        "subject": subject(hospital, hospital.patient_of(number)),
        "participant": [
            {
                "type": [
                    concept(f"{TERMINOLOGY}/v3-ParticipationType", "ATND", "attender"),
                ],
                "individual": doctor(hospital, hospital.practitioner_of(number)),
            }
        ],
        "period": {"start": instant(minute), "end": instant(minute + stay)},
        "location": [{"location": {"reference": hospital.reference("Location", location)}}],
        "serviceProvider": department(hospital, hospital.department_of(number)),
    }


def _within(hospital: Hospital, encounter: int) -> Resource:
    return {
        "subject": subject(hospital, hospital.patient_of(encounter)),
        "encounter": {"reference": hospital.reference("Encounter", encounter)},
    }


def condition(hospital: Hospital, number: int, random: Random) -> Resource:
    at = encounter_for(hospital, "Condition", number)
    minute = hospital.encounter_minute(at)
    what = chosen(hospital, "Condition", number, catalogue().conditions)
    active = random.random() < 0.6
    made: Resource = {
        "resourceType": "Condition",
        "id": hospital.id("Condition", number),
        "identifier": identifier("condition", number),
        "clinicalStatus": concept(
            f"{TERMINOLOGY}/condition-clinical",
            *(("active", "Active") if active else ("resolved", "Resolved")),
        ),
        "verificationStatus": concept(
            f"{TERMINOLOGY}/condition-ver-status", "confirmed", "Confirmed"
        ),
        "category": [
            concept(
                f"{TERMINOLOGY}/condition-category", "encounter-diagnosis", "Encounter Diagnosis"
            )
        ],
        "code": concept(SNOMED, what.code, what.display),
        **_within(hospital, at),
        "onsetDateTime": day(max(minute - random.randrange(90) * 1440, 0)),
        "recordedDate": instant(minute),
    }
    if not active:
        made["abatementDateTime"] = day(minute + random.randrange(1, 28) * 1440)
    return made


def procedure(hospital: Hospital, number: int, random: Random) -> Resource:
    at = encounter_for(hospital, "Procedure", number)
    minute = hospital.encounter_minute(at)
    what = chosen(hospital, "Procedure", number, catalogue().procedures)
    end = minute + random.randrange(10, 240)
    return {
        "resourceType": "Procedure",
        "id": hospital.id("Procedure", number),
        "identifier": identifier("procedure", number),
        "status": "completed",
        "code": concept(SNOMED, what.code, what.display),
        **_within(hospital, at),
        "performedPeriod": {"start": instant(minute), "end": instant(end)},
        "performer": [{"actor": doctor(hospital, hospital.practitioner_of(at))}],
    }


def medication_request(hospital: Hospital, number: int, random: Random) -> Resource:
    at = encounter_for(hospital, "MedicationRequest", number)
    minute = hospital.encounter_minute(at)
    what = chosen(hospital, "MedicationRequest", number, catalogue().medications)
    dose = random.choice((1, 1, 1, 2))
    return {
        "resourceType": "MedicationRequest",
        "id": hospital.id("MedicationRequest", number),
        "identifier": identifier("prescription", number),
        "status": random.choice(("active", "completed", "completed", "stopped")),
        "intent": "order",
        "medicationCodeableConcept": concept(RXNORM, what.code, what.display),
        **_within(hospital, at),
        "authoredOn": instant(minute),
        "requester": doctor(hospital, hospital.practitioner_of(at)),
        "dosageInstruction": [
            {
                "sequence": 1,
                "text": f"{dose} daily",
                "timing": {"repeat": {"frequency": dose, "period": 1, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
            }
        ],
        "dispenseRequest": {"numberOfRepeatsAllowed": random.randrange(6)},
    }
