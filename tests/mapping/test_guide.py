"""The v2-to-FHIR guide: every row has a verdict, and the documentation tells the numbers."""

from collections import Counter
from pathlib import Path

import pytest

from fhir_server.mapping.guide import (
    OVERRIDDEN,
    UNSUPPORTED,
    VERDICTS,
    guide_rows,
    summary,
    unknown_rows,
)
from fhir_server.packaged import folder
from tests.mapping.messages import mapper
from tests.mapping.pairs import agreement, table

DOCUMENT = Path(__file__).parents[2] / "docs" / "hl7v2-coverage.md"
PAIRS = Path(__file__).parents[3] / "shared" / "suites" / "hl7v2" / "mappinginventory"


def test_every_row_has_a_verdict_and_what_is_not_done_has_a_reason() -> None:
    rows = guide_rows(folder("mappings"), mapper().book())
    assert [each for each in rows if each.verdict not in VERDICTS] == []
    assert all(len(row.why) > 5 for row in rows if row.verdict in (OVERRIDDEN, UNSUPPORTED))


def test_rules_name_only_rows_that_the_guide_has() -> None:
    assert unknown_rows(folder("mappings"), mapper().book()) == []


def test_documentation_has_the_numbers_of_each_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    total: Counter[str] = Counter()
    for name, found in summary(guide_rows(folder("mappings"), mapper().book())):
        total += found
        assert line(name, found) in text
    assert line("**all**", total) in text


def line(name: str, found: Counter[str]) -> str:
    return f"| {name} | {' | '.join(str(found[each]) for each in VERDICTS)} |\n"


@pytest.mark.parametrize("pairs", [PAIRS])
def test_documentation_has_the_agreement_with_published_pairs(pairs: Path) -> None:
    if pairs.is_dir():
        text = DOCUMENT.read_text(encoding="utf-8")
        assert [each for each in table(agreement(pairs)) if each not in text] == []
