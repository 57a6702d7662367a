"""What the index holds of one resource."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(slots=True)
class IndexEntries:
    """The rows of one resource; the first item of a tuple is the hash of `Patient|family`.

    keys: see `fhir_server.search.keys`; sorted and unique.
    targets: hashes of `Patient/123`, of this server's resources that it refers to; unique.
    strings: normalised text.
    dates: UTC microseconds since 1970, end excluded.
    numbers: unit hash, lowest value, highest value; both are the value where there is but one.
    texts: for the vocabulary, where a query looks up texts before it makes keys of them.
    present: bits of the parameters that have a value, as `fhir_server.search.presence` counts them.
    """

    keys: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    strings: list[tuple[int, str]] = field(default_factory=list)
    dates: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, int, Decimal, Decimal]] = field(default_factory=list)
    texts: list[tuple[int, str]] = field(default_factory=list)
    present: int = 0

    def settle(self) -> None:
        """Drop repetitions and put the keys in order."""
        self.keys = sorted(set(self.keys))
        for rows in (self.targets, self.strings, self.dates, self.numbers, self.texts):
            _make_unique(rows)


def _make_unique(rows: list[Any]) -> None:
    if len(rows) > 1:
        rows[:] = dict.fromkeys(rows)
