"""Dates by patient: what stands in the index, and for what."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server.search import patient_dates
from fhir_server.search.extract import Extractor
from fhir_server.search.keys import hash64
from fhir_server.search.parameters import SearchParameters

PARAMETERS = SearchParameters()
DAY = 86_400_000_000


def dates_of(resource: dict[str, Any]) -> set[tuple[int, int, int]]:
    extractor = Extractor(PARAMETERS, base_url="http://test/fhir", zone=ZoneInfo("UTC"))
    return set(extractor.extract(resource).dates)


def of_patient(name: str, patient: str) -> int:
    return hash64(f"{name}@patient") ^ hash64(f"Patient/{patient}")


def test_a_date_stands_under_each_patient_it_is_about() -> None:
    participants = [{"actor": {"reference": f"Patient/{name}"}} for name in ("a", "b")]
    found = dates_of(
        {
            "resourceType": "Appointment",
            "status": "booked",
            "start": "1970-01-02T00:00:00Z",
            "participant": [*participants, {"actor": {"reference": "Practitioner/c"}}],
        }
    )
    second = (DAY, DAY + 1_000_000)
    assert found == {
        (hash64("Appointment|date"), *second),
        (of_patient("Appointment|date", "a"), *second),
        (of_patient("Appointment|date", "b"), *second),
    }


@pytest.mark.parametrize(
    "subject", [{"reference": "Group/g"}, {"display": "P."}, {"reference": "urn:uuid:0"}]
)
def test_who_is_no_patient_of_this_server_has_no_dates(subject: dict[str, str]) -> None:
    found = dates_of({"resourceType": "Encounter", "subject": subject, "period": {"start": "2020"}})
    assert {name for name, *_ in found} == {hash64("Encounter|date")}


def test_what_is_contained_has_no_dates_by_patient() -> None:
    inner = {
        "resourceType": "Encounter",
        "id": "e",
        "subject": {"reference": "Patient/a"},
        "period": {"start": "2020"},
    }
    found = dates_of({"resourceType": "Observation", "contained": [inner]})
    assert {name for name, *_ in found} == {hash64("Encounter|date") ^ 1}


def test_every_date_is_one_of_a_type_that_has_patients() -> None:
    for type_, codes in patient_dates.DATES.items():
        patient = PARAMETERS.get(type_, patient_dates.PATIENT)
        assert patient is not None
        for code in codes:
            found = PARAMETERS.get(type_, code)
            assert found is not None, f"{type_}.{code}"
            assert found.type == "date"
            assert patient_dates.parameter(type_, code) is not None


def test_a_patient_that_is_the_subject_is_found_as_patient_too() -> None:
    for type_ in patient_dates.DATES:
        subject = PARAMETERS.get(type_, "subject")
        if subject is None:
            continue
        patient = PARAMETERS.get(type_, "patient")
        assert patient is not None
        paths = {(b.head, b.path) for b in patient.expression().branches}  # type: ignore[union-attr]
        heads = {head for head, _ in paths}
        assert {b.head for b in subject.expression().branches} <= heads, type_  # type: ignore[union-attr]
