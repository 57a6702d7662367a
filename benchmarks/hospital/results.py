"""Observation, and orders with their reports: ServiceRequest, DiagnosticReport, ImagingStudy."""

from functools import cache
from random import Random

from benchmarks.hospital import rare
from benchmarks.hospital.care import chosen, encounter_for
from benchmarks.hospital.catalogue import (
    BLOOD_PRESSURE,
    CREATINE_KINASE,
    DIASTOLIC,
    HEART_RATE,
    LOINC,
    OXYGEN_SATURATION,
    SNOMED,
    SYSTOLIC,
    TEMPERATURE,
    TERMINOLOGY,
    UCUM,
    Coded,
    Measurement,
    catalogue,
)
from benchmarks.hospital.facts import LABORATORIES, Hospital, instant, mixed
from benchmarks.hospital.people import (
    SYSTEM,
    Resource,
    concept,
    department,
    doctor,
    identifier,
    subject,
)

ORDER = f"{SYSTEM}/order"
ACCESSION = f"{SYSTEM}/accession"
_EVERY_IMAGING = 3  # every third order is of imaging
_MOST_RESULTS = 8
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_INTERPRETATIONS = {"N": "Normal", "H": "High", "L": "Low"}


@cache
def _code(measurement: Measurement) -> Resource:
    return concept(LOINC, measurement.code, measurement.display)


@cache
def _category(vital: bool) -> list[Resource]:
    code, display = ("vital-signs", "Vital Signs") if vital else ("laboratory", "Laboratory")
    return [concept(f"{TERMINOLOGY}/observation-category", code, display)]


@cache
def _interpretation(code: str) -> list[Resource]:
    system = f"{TERMINOLOGY}/v3-ObservationInterpretation"
    return [concept(system, code, _INTERPRETATIONS[code])]


def _quantity(value: float, unit: str, ucum: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": ucum}


@cache
def _range(measurement: Measurement) -> list[Resource]:
    low, high = (
        _quantity(limit, measurement.unit, measurement.ucum)
        for limit in (measurement.low, measurement.high)
    )
    return [{"low": low, "high": high, "text": f"{measurement.low} - {measurement.high}"}]


def observation(hospital: Hospital, number: int, random: Random) -> Resource:
    if (special := hospital.planted.get(number)) is not None:
        return _planted(hospital, number, special, random)
    at = hospital.encounter_of(number)
    minute = hospital.encounter_minute(at) + random.randrange(180)
    measurement = hospital.measurement_of(number, minute)
    return _observation(hospital, number, measurement, at, instant(minute), random)


def _planted(hospital: Hospital, number: int, special: rare.Planted, random: Random) -> Resource:
    kind, group, member = special
    known = catalogue()
    code = {
        "patient": TEMPERATURE,
        "code": known.rare_laboratory[group].code,
        "rate": HEART_RATE,
        "enzyme": CREATINE_KINASE,
        "year": OXYGEN_SATURATION,
    }[kind]
    at = hospital.encounter_of(number)
    when = instant(hospital.encounter_minute(at) + random.randrange(180))
    if kind == "patient":
        when = f"{rare.rare_day(group)}T{8 + member:02}:30:00+01:00"
    elif kind == "year":
        when = f"{rare.RARE_YEAR + group}-{1 + member:02}-15T11:00:00+01:00"
    made = _observation(hospital, number, known.measurement(code), at, when, random)
    if kind == "rate":
        made["valueQuantity"] = made["valueQuantity"] | {"value": rare.rare_rate(group)}
    elif kind == "enzyme":
        made["valueQuantity"] = made["valueQuantity"] | {"value": rare.rare_enzyme(group)}
    elif kind != "year":
        alone = kind == "patient"
        patient = rare.patient_alone(group) if alone else rare.family_member(group, member)
        made["subject"] = subject(hospital, patient)
    if kind in ("patient", "code", "year"):
        del made["encounter"]  # which is another patient's, or of another year
    return made


def _observation(
    hospital: Hospital,
    number: int,
    measurement: Measurement,
    at: int,
    when: str,
    random: Random,
) -> Resource:
    vital = measurement.vital_sign
    provider = hospital.department_of(at) if vital else hospital.laboratory_of(number)
    made: Resource = {
        "resourceType": "Observation",
        "id": hospital.id("Observation", number),
        "identifier": identifier("observation", number),
        "status": "final" if random.random() < 0.97 else "preliminary",
        "category": _category(vital),
        "code": _code(measurement),
        "subject": subject(hospital, hospital.patient_of(at)),
        "encounter": {"reference": hospital.reference("Encounter", at)},
        "effectiveDateTime": when,
        "issued": when,
        "performer": [
            doctor(hospital, hospital.practitioner_of(at)),
            department(hospital, provider),
        ],
    }
    if measurement.code == BLOOD_PRESSURE:
        made["component"] = _pressures(random)
        return made
    value = _value(measurement, random)
    made["valueQuantity"] = _quantity(value, measurement.unit, measurement.ucum)
    high, low = value > measurement.high, value < measurement.low
    made["interpretation"] = _interpretation("H" if high else "L" if low else "N")
    made["referenceRange"] = _range(measurement)
    return made


def _value(measurement: Measurement, random: Random) -> float:
    value = abs(random.gauss(measurement.mean, measurement.spread))
    return round(value, measurement.decimals) if measurement.decimals else int(value)


def _pressures(random: Random) -> list[Resource]:
    systolic = int(min(max(random.gauss(128, 17), 70), 240))
    diastolic = int(systolic * random.uniform(0.5, 0.72))
    return [
        {
            "code": concept(LOINC, code, display),
            "valueQuantity": _quantity(value, "mmHg", "mm[Hg]"),
        }
        for code, display, value in (
            (SYSTOLIC, "Systolic blood pressure", systolic),
            (DIASTOLIC, "Diastolic blood pressure", diastolic),
        )
    ]


def ordered(hospital: Hospital, order: int) -> Coded:
    """What a ServiceRequest asks for."""
    known = catalogue()
    imaging = order % _EVERY_IMAGING == 0
    among = known.imaging_orders if imaging else known.laboratory_orders
    return chosen(hospital, "ServiceRequest", order, among)


def accession_number(order: int) -> str:
    """Of a ServiceRequest and what came of it."""
    return f"ACC{order:08}"


def _accession(order: int) -> Resource:
    type_ = concept(f"{TERMINOLOGY}/v2-0203", "ACSN", "Accession ID")
    return {"type": type_, "system": ACCESSION, "value": accession_number(order)}


def service_request(hospital: Hospital, number: int, random: Random) -> Resource:
    at = encounter_for(hospital, "ServiceRequest", number)
    what = ordered(hospital, number)
    category = ("363679005", "Imaging") if what.modality else ("108252007", "Laboratory procedure")
    order = concept(f"{TERMINOLOGY}/v2-0203", "PLAC", "Placer Identifier")
    return {
        "resourceType": "ServiceRequest",
        "id": hospital.id("ServiceRequest", number),
        "identifier": [
            {"type": order, "system": ORDER, "value": f"ORD{number:08}"},
            _accession(number),
        ],
        "status": "completed" if random.random() < 0.9 else "active",
        "intent": "order",
        "category": [concept(SNOMED, *category)],
        "priority": random.choice(("routine", "routine", "routine", "urgent", "stat")),
        "code": concept(LOINC, what.code, what.display),
        "subject": subject(hospital, hospital.patient_of(at)),
        "encounter": {"reference": hospital.reference("Encounter", at)},
        "authoredOn": instant(hospital.encounter_minute(at)),
        "requester": doctor(hospital, hospital.practitioner_of(at)),
    }


def order_of(hospital: Hospital, report: int) -> int:
    """The ServiceRequest that a DiagnosticReport answers; no two answer the same."""
    counts = hospital.counts
    return report * counts["ServiceRequest"] // counts["DiagnosticReport"]


def diagnostic_report(hospital: Hospital, number: int, random: Random) -> Resource:
    order = order_of(hospital, number)
    at = encounter_for(hospital, "ServiceRequest", order)
    what = ordered(hospital, order)
    when = instant(hospital.encounter_minute(at) + random.randrange(60, 600))
    section = ("RAD", "Radiology") if what.modality else ("LAB", "Laboratory")
    made: Resource = {
        "resourceType": "DiagnosticReport",
        "id": hospital.id("DiagnosticReport", number),
        "identifier": [*identifier("report", number), _accession(order)],
        "basedOn": [{"reference": hospital.reference("ServiceRequest", order)}],
        "status": "final" if random.random() < 0.95 else "preliminary",
        "category": [concept(f"{TERMINOLOGY}/v2-0074", *section)],
        "code": concept(LOINC, what.code, what.display),
        "subject": subject(hospital, hospital.patient_of(at)),
        "encounter": {"reference": hospital.reference("Encounter", at)},
        "effectiveDateTime": when,
        "issued": when,
        "performer": [department(hospital, 7 if what.modality else LABORATORIES[0])],
        "conclusion": "Compared with earlier results nothing remarkable was found.",
    }
    found = [] if what.modality else hospital.observations_of(at)[:_MOST_RESULTS]
    if found:
        made["result"] = [{"reference": hospital.reference("Observation", n)} for n in found]
    return made


def imaging_study(hospital: Hospital, number: int, random: Random) -> Resource:
    order = number * _EVERY_IMAGING
    at = encounter_for(hospital, "ServiceRequest", order)
    what = ordered(hospital, order)
    uid = f"2.25.{mixed(hospital.seed ^ (number << 8)):020}"
    modality = {"system": _DICOM, "code": what.modality}
    images = random.randrange(1, 400) if what.modality in ("CT", "MR") else random.randrange(1, 5)
    return {
        "resourceType": "ImagingStudy",
        "id": hospital.id("ImagingStudy", number),
        "identifier": [
            {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"},
            _accession(order),
        ],
        "status": "available",
        "modality": [modality],
        "subject": subject(hospital, hospital.patient_of(at)),
        "encounter": {"reference": hospital.reference("Encounter", at)},
        "started": instant(hospital.encounter_minute(at) + random.randrange(30, 300)),
        "basedOn": [{"reference": hospital.reference("ServiceRequest", order)}],
        "numberOfSeries": 1,
        "numberOfInstances": images,
        "description": what.display,
        "series": [
            {
                "uid": f"{uid}.1",
                "number": 1,
                "modality": modality,
                "description": what.display,
                "numberOfInstances": images,
            }
        ],
    }
