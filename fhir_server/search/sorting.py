"""What a search is sorted by (R4 search.html#sort)."""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.search.conditions import PredicateError
from fhir_server.search.jsonpath import jsonpaths
from fhir_server.search.parameters import ANY_TYPE, SearchParameter

MOST_KEYS = 8

# Tables of ordered values: the column that sorts, and the columns that tell two rows of a resource
# apart, the sorting one first.
TABLES = {
    "string": ("string_value", "value", ("value",)),
    "date": ("date_value", "low", ("low", "high")),
    "number": ("number_value", "low", ("low", "high")),
    "quantity": ("number_value", "low", ("low", "high", "unit")),
}
COLUMNS = {"_id": "id", "_lastUpdated": "last_updated"}


@dataclass(frozen=True, slots=True)
class SortKey:
    """One rule of a sort. Of several values the one that comes first counts; no value is last.

    measured: its values have units, and are compared in the base units of UCUM.
    table: of ordered values, with `parameter`; or `column`, of the resource; or `paths`, JSON
    paths into the content, for what has no ordered values.
    shared: resources of all types have such values.
    """

    code: str
    descending: bool
    table: str = ""
    parameter: int = 0
    column: str = ""
    tie: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    measured: bool = False
    shared: bool = False

    @property
    def walkable(self) -> bool:
        """Whether an index has this order."""
        return not (self.paths or self.measured)


def sort_key(parameter: SearchParameter, descending: bool) -> SortKey:
    """The rule that a parameter makes. Raises `PredicateError` for one that has no order."""
    if parameter.code in COLUMNS:
        return SortKey(parameter.code, descending, column=COLUMNS[parameter.code])
    if parameter.keyed is not None:
        raise PredicateError(f"the values of {parameter.code} are encrypted at rest: no order")
    if parameter.type in TABLES:
        table, column, tie = TABLES[parameter.type]
        return SortKey(
            parameter.code,
            descending,
            table,
            parameter.hash,
            column,
            tie,
            measured=parameter.type == "quantity",
            shared=parameter.resource_type == ANY_TYPE,
        )
    paths = () if parameter.type == "special" else jsonpaths(parameter)
    if not paths:
        raise PredicateError(f"{parameter.code} ({parameter.type}) has no order to sort by")
    return SortKey(parameter.code, descending, paths=tuple(paths))


def rules(text: str) -> Sequence[tuple[str, bool]]:
    """The codes of a `_sort` and whether each is descending. Raises `PredicateError`."""
    found = [(item.removeprefix("-"), item.startswith("-")) for item in text.split(",")]
    if not all(code for code, _ in found):
        raise PredicateError("expected parameters separated by commas, each after an optional -")
    if len(found) > MOST_KEYS:
        raise PredicateError(f"{len(found)} rules; at most {MOST_KEYS} are allowed")
    return found
