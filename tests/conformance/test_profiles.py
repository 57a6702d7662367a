"""The mutations break what they say, and every exception stands on the page with its reason."""

import re
from pathlib import Path
from typing import Any

import pytest

from fhir_server.validation.profiles.findings import Finding
from tests.conformance.mutations import Mutation, mutations
from tests.conformance.profiles import exceptions, told
from tests.conformance.score import floors
from tests.validation.profiles.given import CORE, broken, validator

_PAGE = (Path(__file__).parents[2] / "docs" / "validation.md").read_text()
_ROWS = {
    re.sub(r"`", "", cells[0]): cells[1]
    for line in _PAGE.splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
}


@pytest.mark.parametrize("kind", ["official", "snapshots"])
def test_every_exception_stands_on_the_page_with_its_reason(kind: str) -> None:
    listed = exceptions(kind)
    by_reason: dict[str, set[str]] = {}
    for name, reason in listed.items():
        by_reason.setdefault(reason, set()).add(name.rpartition("/")[2])
    on_page = {reason: set(names.split(", ")) for names, reason in _ROWS.items()}
    assert by_reason
    assert {reason: on_page.get(reason) for reason in by_reason} == by_reason


def test_equal_snapshots_on_the_page_are_those_that_are_not_listed() -> None:
    equal = floors()["snapshots made again"] - len(exceptions("snapshots"))
    assert f"{equal} are equal" in _PAGE


OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]},
    "subject": {"reference": "Patient/1"},
    "valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "g"},
}
PROFILE: dict[str, Any] = {
    "snapshot": {
        "element": [
            {"id": "Observation", "path": "Observation"},
            {
                "id": "Observation.status",
                "path": "Observation.status",
                "min": 1,
                "max": "1",
                "binding": {
                    "strength": "required",
                    "valueSet": "http://hl7.org/fhir/ValueSet/observation-status|4.0.1",
                },
            },
            {
                "id": "Observation.subject",
                "path": "Observation.subject",
                "type": [{"code": "Reference", "targetProfile": [f"{CORE}Patient"]}],
            },
        ]
    }
}


def test_mutations_are_of_many_kinds_and_each_is_found() -> None:
    check = validator()
    made = list(mutations(OBSERVATION, PROFILE))
    rules = {rule for each in made for rule in each.rules}
    assert rules >= {"min", "binding", "targetProfile", "structure", "dom-3", "qty-3"}
    assert broken(check.validate(OBSERVATION)) == []
    unknown = {"misplaced extension"}
    for mutation in made:
        assert mutation.resource != OBSERVATION
        if mutation.name not in unknown:
            assert told(mutation, check.validate(mutation.resource).findings), mutation.name


@pytest.mark.parametrize(
    ("finding", "counts"),
    [
        (Finding("required", "x", "Patient.name", rule="min"), True),
        (Finding("required", "x", "Patient.name[0]", rule="min"), False),
        (Finding("required", "x", "Patient.name", rule="max"), False),
        (Finding("required", "x", "Patient.name", "warning", rule="min"), False),
    ],
)
def test_only_the_right_rule_at_the_right_place_counts(finding: Finding, counts: bool) -> None:
    mutation = Mutation("x", {}, frozenset({"min"}), "Patient.name")
    assert told(mutation, (finding,)) is counts
