"""A patient's resources in the order of their dates: what a chart shows, whatever else is stored.

Beside its row under a parameter, such a date has one under a parameter of each patient's own. So
the newest of a patient are the end of one stretch of an index, however many all patients have.
"""

from collections.abc import Mapping

from fhir_server.search import keys
from fhir_server.search.entries import IndexEntries

PATIENT = "patient"
# Parameters whose reference, where it is to a patient, is what `patient` finds.
REFERENCES = frozenset((PATIENT, "subject"))

# The dates that charts are sorted by.
DATES: Mapping[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("date",),
    "Appointment": ("date",),
    "CarePlan": ("date",),
    "Communication": ("sent",),
    "Condition": ("onset-date", "recorded-date"),
    "DiagnosticReport": ("date", "issued"),
    "DocumentReference": ("date",),
    "Encounter": ("date",),
    "ImagingStudy": ("started",),
    "Immunization": ("date",),
    "MedicationAdministration": ("effective-time",),
    "MedicationRequest": ("authoredon",),
    "MedicationStatement": ("effective",),
    "Observation": ("date",),
    "Procedure": ("date",),
    "QuestionnaireResponse": ("authored",),
    "ServiceRequest": ("authored", "occurrence"),
    "Task": ("authored-on",),
}


def parameter(type_: str, code: str) -> int | None:
    """What the dates of one patient stand under, before the hash of `Patient/123` is put to it.

    None for dates that are not kept by patient.
    """
    if code not in DATES.get(type_, ()):
        return None
    return keys.hash64(f"{keys.parameter_name(type_, code)}@{PATIENT}")


class PatientDates:
    """Enters the dates of one type's resources by patient."""

    def __init__(self, type_: str) -> None:
        self._patient = keys.hash64(keys.parameter_name(type_, PATIENT))
        self._own = {
            keys.hash64(keys.parameter_name(type_, code)): parameter(type_, code)
            for code in DATES.get(type_, ())
        }

    def enter(self, entries: IndexEntries) -> None:
        """Enter each date once more for each patient that the resource is about."""
        dates = [
            (own, low, high)
            for name, low, high in entries.dates
            if (own := self._own.get(name)) is not None
        ]
        if dates:
            found = set(entries.keys)
            patients = [target for target in entries.targets if self._patient ^ target in found]
            entries.dates += [
                (own ^ patient, low, high) for own, low, high in dates for patient in patients
            ]
