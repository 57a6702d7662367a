"""What became of each row of the HL7 v2-to-FHIR guide, by the rules and by what is said of it."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fhir_server.mapping.explaining import all_rules
from fhir_server.mapping.loading import Book
from fhir_server.mapping.rules import MappingError

IMPLEMENTED, OVERRIDDEN, UNSUPPORTED = "implemented", "overridden", "unsupported"
VERDICTS = (IMPLEMENTED, OVERRIDDEN, UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the guide that has a target in FHIR.

    verdict: empty if nobody says what became of it. why: the rules that name it, or the reason.
    """

    table: str
    number: int
    field: str
    element: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class _Said:
    pattern: re.Pattern[str]
    verdict: str
    reason: str
    exact: bool


def guide_rows(folder: Path, book: Book) -> list[Row]:
    """Every row of the guide with what became of it. Raises MappingError for a wrong verdict."""
    said = _said(folder / "guide" / "verdicts.yaml")
    rules: dict[str, list[str]] = {}
    for rule in all_rules(book):
        for row in rule.guide:
            rules.setdefault(row, []).append(rule.label)
    with (folder / "guide" / "rows.csv").open(encoding="utf-8", newline="") as file:
        return [_row(each, said, rules) for each in csv.DictReader(file)]


def _row(data: dict[str, str], said: Sequence[_Said], rules: dict[str, list[str]]) -> Row:
    place = f"{data['table']} {data['field']}"
    text = f"{place} {data['element']}"
    match = next((each for each in said if each.pattern.fullmatch(text)), None)
    named = rules.get(place, [])
    verdict, why = "", ""
    # What is said of a whole table is of the rows that no rule names.
    if match is not None and (match.exact or match.verdict != UNSUPPORTED or not named):
        verdict, why = match.verdict, match.reason
    elif named:
        verdict, why = IMPLEMENTED, ", ".join(named)
    return Row(data["table"], int(data["row"]), data["field"], data["element"], verdict, why)


def _said(path: Path) -> list[_Said]:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = []
    for each in data["verdicts"]:
        if each["verdict"] not in VERDICTS or not each.get("reason"):
            raise MappingError(f"{path.name}: {each}: expected a verdict and its reason")
        parts = (each["table"], each.get("field", "*"), each.get("element", "*"))
        pattern = " ".join(_glob(str(part)) for part in parts)
        exact = "field" in each or "element" in each
        found.append(_Said(re.compile(pattern), each["verdict"], each["reason"], exact))
    return found


def _glob(text: str) -> str:
    return ".*".join(re.escape(each) for each in text.split("*"))


def unknown_rows(folder: Path, book: Book) -> list[str]:
    """Rows that rules name and the guide lacks."""
    with (folder / "guide" / "rows.csv").open(encoding="utf-8", newline="") as file:
        known = {f"{each['table']} {each['field']}" for each in csv.DictReader(file)}
    named = {row for rule in all_rules(book) for row in rule.guide}
    return sorted(named - known)


def summary(rows: Sequence[Row]) -> Iterator[tuple[str, Counter[str]]]:
    """How many rows of each table have each verdict."""
    tables = dict.fromkeys(row.table for row in rows)
    for table in tables:
        yield table, Counter(row.verdict for row in rows if row.table == table)
