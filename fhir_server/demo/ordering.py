"""The orders of a hospital and the steps they have taken, the same for the same seed."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fhir_server.demo.hospital import Hospital, Json
from fhir_server.demo.results import findings, laboratory_results
from fhir_server.demo.tables import code, extension, orders

_LATERALITY = "http://snomed.info/sct"
_PRIORITIES = ("routine", "routine", "routine", "urgent", "routine", "asap", "routine", "stat")
_TYPES = ("imaging", "laboratory", "imaging", "laboratory", "procedure")
# How far the orders of a type are, in turn; most of what a hospital has is reported.
_STATES = {
    "imaging": (
        "reported", "ordered", "scheduled", "reported", "in-progress", "completed", "cancelled",
        "on-hold",
    ),
    "laboratory": (
        "reported", "ordered", "sample-collected", "reported", "in-progress", "completed",
        "cancelled", "on-hold",
    ),
    "procedure": (
        "scheduled", "reported", "ordered", "in-progress", "completed", "cancelled", "on-hold",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """A call of an operation: its name and its parameters."""

    operation: str
    parameters: list[Json]


@dataclass(frozen=True, slots=True)
class Planned:
    """An order to be placed, the steps it takes, and the state it is in then."""

    order: Json
    state: str
    steps: list[Step] = field(default_factory=list)


def planned(hospital: Hospital, number: int) -> list[Planned]:
    """The orders of a hospital, after its resources were made."""
    turns = dict.fromkeys(_STATES, 0)
    found = []
    for at in range(number):
        type_ = _TYPES[at % len(_TYPES)]
        states = _STATES[type_]
        state = states[turns[type_] % len(states)]
        what = orders()[type_][turns[type_] % len(orders()[type_])]
        turns[type_] += 1
        found.append(_Order(hospital, at, type_, what, state).planned())
    return found


class _Order:
    def __init__(self, hospital: Hospital, number: int, type_: str, what: Json, state: str) -> None:
        self._hospital = hospital
        self._number = number
        self._type = type_
        self._what = what
        self._state = state
        self._days = hospital.random.randrange(1, 8) if state == "reported" else 0
        self._staff = {
            role: hospital.reference("Practitioner", f"{role}-{1 + number % most}")
            for role, most in _STAFF.items()
        }

    def planned(self) -> Planned:
        return Planned(self._resource(), self._state, list(self._steps()))

    def _resource(self) -> Json:
        hospital, what = self._hospital, self._what
        patient = 1 + self._number % hospital.patients
        order: Json = {
            "resourceType": "ServiceRequest",
            "identifier": [hospital.identifier(f"order-{self._number + 1}")],
            "status": "active",
            "intent": "order",
            "category": [{"coding": [code("order-type", self._type)]}],
            "priority": _PRIORITIES[self._number % len(_PRIORITIES)],
            "subject": hospital.reference("Patient", f"patient-{patient}"),
            "encounter": hospital.reference("Encounter", f"encounter-{patient}"),
            "requester": {"reference": hospital.doctor_of(patient)},
            "authoredOn": hospital.at(days=self._days, hours=5, minutes=self._number),
            "reasonCode": [{"text": what["indication"]}],
        }
        return order | _CONTENT[self._type](what)

    # steps

    def _steps(self) -> Iterator[Step]:
        state = self._state
        if state == "ordered":
            return
        if state == "cancelled":
            reason = "The patient does not wish it any more"
            yield self._step("cancel", "doctor", _text("reason", reason))
            return
        yield self._first()
        if state == "on-hold":
            role = "technician" if self._type == "laboratory" else "scheduler"
            yield self._step("hold", role, _text("reason", "Waits for an interpreter"))
        elif state not in ("scheduled", "sample-collected"):
            yield from self._carrying_out()

    def _first(self) -> Step:
        """What comes before it is carried out."""
        if self._type == "laboratory":
            collected = self._time(hours=3)
            return self._step("collect-sample", "nurse", collected, self._by("collector", "nurse"))
        late = self._state in ("scheduled", "on-hold")
        # Slots of half an hour from two hours on, none of them twice.
        slot = -(2 + self._number / 2) if late else 3
        place = self._hospital.reference("Location", self._what["place"])
        return self._step(
            "schedule",
            "scheduler",
            self._time(hours=slot),
            self._by("performer", "technician"),
            {"name": "location", "valueReference": place},
        )

    def _carrying_out(self) -> Iterator[Step]:
        yield self._step("start", "technician", self._time(hours=2.5))
        if self._state == "in-progress":
            return
        yield self._step("complete", "technician", self._time(hours=2))
        if self._state == "reported":
            interpreter = _INTERPRETERS[self._type]
            yield self._step("report", interpreter, *self._results())

    def _results(self) -> list[Json]:
        if self._type == "laboratory":
            return laboratory_results(self._hospital.random, self._what)
        return findings(self._hospital.random, self._what)

    def _step(self, operation: str, role: str, *more: Json) -> Step:
        return Step(operation, [*more, self._by("actor", role)])

    def _by(self, name: str, role: str) -> Json:
        return {"name": name, "valueReference": self._staff[role]}

    def _time(self, **ago: float) -> Json:
        at = self._hospital.at(**{"days": self._days} | ago)
        return {"name": "time", "valueDateTime": at}


_STAFF = {
    "doctor": 3, "nurse": 2, "technician": 3, "radiologist": 2, "pathologist": 1, "scheduler": 1,
}  # fmt: skip
_INTERPRETERS = {"imaging": "radiologist", "laboratory": "pathologist", "procedure": "doctor"}


def _text(name: str, text: str) -> Json:
    return {"name": name, "valueString": text}


def _imaging(what: Json) -> Json:
    extensions = [extension("order-modality", valueCoding=code("modality", what["modality"]))]
    if "laterality" in what:
        coding = {"system": _LATERALITY, "code": what["laterality"]}
        extensions.append(extension("order-laterality", valueCodeableConcept={"coding": [coding]}))
    if "contrast" in what:
        extensions.append(extension("order-contrast", valueBoolean=what["contrast"]))
    if "history" in what:
        extensions.append(extension("order-clinical-history", valueString=what["history"]))
    return {
        "code": {"text": what["name"]},
        "bodySite": [{"coding": [code("body-part", what["part"])]}],
        "extension": extensions,
    }


def _laboratory(what: Json) -> Json:
    members = [
        {"system": "http://loinc.org", "code": each["code"], "display": each["display"]}
        for each in what["members"]
    ]
    extensions = [extension("order-fasting", valueBoolean=what.get("fasting", False))]
    extensions += [extension("order-panel-member", valueCoding=each) for each in members]
    return {"code": _ordered("laboratory-catalogue", what["test"], what), "extension": extensions}


def _procedure(what: Json) -> Json:
    anaesthesia = code("anaesthesia", what["anaesthesia"])
    return {
        "code": _ordered("procedure-catalogue", what["code"], what),
        "extension": [
            extension("order-anaesthesia", valueCoding=anaesthesia),
            extension("order-estimated-minutes", valuePositiveInt=what["minutes"]),
        ],
        "patientInstruction": what["instructions"],
    }


def _ordered(catalogue: str, entry: str, what: Json) -> Json:
    return {"coding": [code(catalogue, entry) | {"display": what["name"]}], "text": what["name"]}


_CONTENT = {"imaging": _imaging, "laboratory": _laboratory, "procedure": _procedure}
