import re
from pathlib import Path

import pytest

from tests.conformance.examples import InvalidExample, invalid_examples
from tests.conformance.score import floors
from tests.conformance.testscripts import (
    BrokenFixture,
    KnownFailure,
    broken_fixtures,
    known_failures,
)

_PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()
_ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in _PAGE.splitlines()
    if line.startswith("| ")
]


def test_figures_on_the_page_are_the_floors() -> None:
    figures = {row[0]: int(row[1]) for row in _ROWS if row[1].isdigit()}
    assert figures == floors()


@pytest.mark.parametrize("example", invalid_examples(), ids=lambda example: example.names[0])
def test_every_refused_example_stands_on_the_page_with_its_reason(example: InvalidExample) -> None:
    names = ", ".join(f"`{name}`" for name in example.names)
    assert [names, example.reason, example.rule.replace("|", "or")] in _ROWS


def test_the_page_lists_no_other_example() -> None:
    listed = {name for row in _ROWS for name in re.findall(r"`([^`]+)`", row[0])}
    assert listed == {name for example in invalid_examples() for name in example.names}


def test_as_many_examples_are_refused_as_the_floor_says() -> None:
    refused = sum(len(example.names) for example in invalid_examples())
    assert floors()["invalid examples refused"] == refused


@pytest.mark.parametrize("known", known_failures(), ids=lambda known: known.tests[0])
def test_every_testscript_that_fails_stands_on_the_page_with_its_reason(
    known: KnownFailure,
) -> None:
    count = f"{len(known.tests)} test" + "s" * (len(known.tests) > 1)
    script = known.script.removesuffix(".json")
    assert [script, count, known.reason, known.rule] in _ROWS


@pytest.mark.parametrize("fixture", broken_fixtures(), ids=lambda fixture: fixture.script)
def test_every_script_that_needs_a_lenient_server_stands_on_the_page(
    fixture: BrokenFixture,
) -> None:
    script = fixture.script.removesuffix(".json")
    assert [script, fixture.reason, fixture.rule] in _ROWS


def test_as_many_testscripts_fail_as_the_floors_say() -> None:
    failing = sum(len(known.tests) for known in known_failures())
    least = floors()
    assert least["testscripts passed or known not to"] - least["testscripts passed"] == failing
