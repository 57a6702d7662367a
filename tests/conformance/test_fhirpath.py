from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhirpath.nodes import root_node
from tests.conformance import fhirpath, invariants
from tests.conformance.score import floors

_PAGE = (Path(__file__).parents[2] / "docs" / "fhirpath.md").read_text()
_PATIENT = {"resourceType": "Patient", "name": [{"given": ["Peter", "James"]}]}

_SUITE = """<tests>
<group>
<test name="two" inputfile="p.json">
  <expression>name.given</expression>
  <output type="string">Peter</output><output type="string">James</output>
</test>
<test name="two" inputfile="p.json"><expression>1 + 1</expression><output>2</output></test>
<test name="typed" inputfile="p.json">
  <expression>1 + 1</expression><output type="string">2</output>
</test>
<test name="order" inputfile="p.json" ordered="false">
  <expression>name.given</expression>
  <output type="string">James</output><output type="string">Peter</output>
</test>
<test name="predicate" inputfile="p.json" predicate="true">
  <expression>name.given</expression><output type="boolean">true</output>
</test>
<test name="refused"><expression invalid="syntax">1 +</expression></test>
<test name="accepted"><expression invalid="execution">1 + 1</expression></test>
<test name="strict" inputfile="p.json" mode="strict">
  <expression invalid="semantic">name.nonsense</expression>
</test>
</group>
</tests>"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    directory = tmp_path / "fhirpath"
    directory.mkdir()
    (directory / fhirpath.SUITE).write_text(_SUITE)
    (directory / "p.json").write_text(
        '{"resourceType": "Patient", "name": [{"given": ["Peter", "James"]}]}'
    )
    return tmp_path


def test_a_suite_is_scored_case_by_case(suite: Path) -> None:
    valid, invalid = fhirpath.run(suite)
    assert (valid.passed, valid.cases) == (4, 5)
    assert (invalid.passed, invalid.cases) == (2, 3)
    assert [failure.split(":")[0] for failure in (*valid.failures, *invalid.failures)] == [
        "typed",
        "accepted",
    ]
    assert valid.failures[0].endswith("NOT LISTED")


def test_a_name_given_twice_is_told_apart(suite: Path) -> None:
    names = [case.name for case in fhirpath.cases(suite / "fhirpath" / fhirpath.SUITE)]
    assert names[:2] == ["two", "two (2)"]


def test_an_input_out_of_order_is_put_in_order() -> None:
    data = b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/><id value="a"/></Patient>'
    assert fhirpath.in_order(data).index(b"<id") < fhirpath.in_order(data).index(b"<active")


@pytest.mark.parametrize(("name", "reason"), list(fhirpath.known_failures().items()))
def test_every_failure_stands_on_the_page_with_its_reason(name: str, reason: str) -> None:
    assert f"| `{name}` | {reason} |" in _PAGE


def test_as_many_cases_fail_as_the_page_says() -> None:
    count = len(fhirpath.known_failures())
    assert f"{floors()['fhirpath valid cases']} of 900 valid cases pass" in _PAGE
    assert floors()["fhirpath valid cases"] + count == 900


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (_PATIENT, set()),
        ({"resourceType": "Patient", "contact": [{"gender": "male"}]}, {"pat-1"}),
        (
            {
                "resourceType": "Observation",
                "valueString": "x",
                "dataAbsentReason": {"text": "y"},
                "referenceRange": [{"age": {"low": {"code": "a"}}}],
            },
            {"obs-6", "obs-3", "qty-3"},
        ),
    ],
)
def test_broken_invariants_are_named(resource: dict[str, Any], expected: set[str]) -> None:
    root = root_node(resource)
    assert root is not None
    assert {found.split()[0] for found in invariants.violations(root)} == expected
