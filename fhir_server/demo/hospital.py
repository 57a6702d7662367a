"""The people and places of a hospital, the same for the same seed."""

from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from fhir_server.demo.tables import BASE, concept, people

Json = dict[str, Any]

SYSTEM = f"{BASE}/demo"
_CLASS = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_SNOMED = "http://snomed.info/sct"
_ROLE = f"{BASE}/CodeSystem/role"
_OLDEST_DAYS = 88 * 365


class Hospital:
    """A hospital by its seed.

    began: when it was first made; all times are seen from there, so that making it again makes
        the same.
    """

    def __init__(self, seed: int, patients: int, began: datetime) -> None:
        self.seed = seed
        self.patients = patients
        self.began = began
        self.random = Random(seed)
        self.name = f"{self._family()} Hospital"
        self._resources: list[Json] = []

    def id(self, name: str) -> str:
        """The id of one of its resources."""
        return f"demo-{self.seed}-{name}"

    def reference(self, type_: str, name: str) -> Json:
        """A reference to one of its resources."""
        return {"reference": f"{type_}/{self.id(name)}"}

    def identifier(self, name: str) -> Json:
        """The identifier of one of its resources."""
        return {"system": SYSTEM, "value": f"{self.seed}-{name}"}

    def at(self, **ago: float) -> str:
        """An instant before it was made, or after for a negative time."""
        return (self.began - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def organization(self, *, complete: bool) -> Json:
        """The hospital itself; active when everything in it is there."""
        began = self.began.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "resourceType": "Organization",
            "id": self.id("hospital"),
            "identifier": [self.identifier("hospital") | {"period": {"start": began}}],
            "active": complete,
            "name": self.name,
        }

    def resources(self) -> list[Json]:
        """Everything but its orders, each after what it refers to."""
        self._resources = []
        for name, title in people()["places"]:
            self._add("Location", name, status="active", name=title, mode="instance",
                      managingOrganization=self.reference("Organization", "hospital"))  # fmt: skip
        for name, role in people()["staff"]:
            self._add_staff(name, role)
        for number in range(1, self.patients + 1):
            self._add_patient(number)
        return self._resources

    def _add(self, type_: str, name: str, /, **more: Any) -> None:
        identifier = [self.identifier(f"{type_.lower()}-{name}")]
        self._resources.append(
            {"resourceType": type_, "id": self.id(name), "identifier": identifier, **more}
        )

    def _add_staff(self, name: str, role: str) -> None:
        gender = self.random.choice(["female", "male"])
        self._add("Practitioner", name, active=True, name=[self._human(gender)], gender=gender)
        self._add(
            "PractitionerRole",
            f"{name}-role",
            active=True,
            practitioner=self.reference("Practitioner", name),
            organization=self.reference("Organization", "hospital"),
            code=[concept(_ROLE, role, role.capitalize())],
        )

    def _add_patient(self, number: int) -> None:
        gender = self.random.choice(["female", "male"])
        born = self.began.date() - timedelta(days=self.random.randrange(365, _OLDEST_DAYS))
        name = f"patient-{number}"
        self._add(
            "Patient",
            name,
            active=True,
            name=[self._human(gender)],
            gender=gender,
            birthDate=born.isoformat(),
            address=[self._address()],
            managingOrganization=self.reference("Organization", "hospital"),
        )
        self._add_encounter(number)
        if _years(born, self.began.date()) > 30:
            code, text = self.random.choice(people()["diagnoses"])
            self._add(
                "Condition",
                f"condition-{number}",
                clinicalStatus={"coding": [{"system": _CLINICAL, "code": "active"}]},
                code=concept(_SNOMED, code, text),
                subject=self.reference("Patient", name),
                encounter=self.reference("Encounter", f"encounter-{number}"),
                recordedDate=self.at(days=self.random.randrange(1, 9)),
            )

    def _add_encounter(self, number: int) -> None:
        inpatient = number % 3 == 0
        doctor = self.random.choice(["doctor-1", "doctor-2", "doctor-3"])
        self._add(
            "Encounter",
            f"encounter-{number}",
            status="in-progress",
            **{"class": {"system": _CLASS, "code": "IMP" if inpatient else "AMB"}},
            subject=self.reference("Patient", f"patient-{number}"),
            participant=[{"individual": self.reference("Practitioner", doctor)}],
            period={"start": self.at(days=10, hours=self.random.randrange(0, 8))},
            serviceProvider=self.reference("Organization", "hospital"),
        )

    def doctor_of(self, number: int) -> str:
        """The reference to the doctor of a patient's encounter."""
        wanted = self.id(f"encounter-{number}")
        found = next(each for each in self._resources if each["id"] == wanted)
        return str(found["participant"][0]["individual"]["reference"])

    def _family(self) -> str:
        parts = people()["family"]
        return str(self.random.choice(parts["beginnings"]) + self.random.choice(parts["ends"]))

    def _human(self, gender: str) -> Json:
        given = self.random.choice(people()["given"][gender])
        return {"use": "official", "family": self._family(), "given": [given]}

    def _address(self) -> Json:
        street = self.random.choice(people()["streets"])
        line = f"{self.random.randrange(1, 120)} {street}"
        return {"line": [line], "city": self.random.choice(people()["towns"])}


def _years(since: date, until: date) -> int:
    return (until - since).days // 365
