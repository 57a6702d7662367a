"""What the index holds of one resource."""

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(slots=True)
class IndexEntries:
    """The rows of one resource; the first item of a tuple is the hash of `Patient|family`.

    keys: see `fhir_server.search.keys`; sorted and unique.
    strings: normalised text.
    dates: UTC microseconds since 1970, end excluded.
    numbers: unit hash, lowest value, highest value; both are the value where there is but one.
    """

    keys: list[int] = field(default_factory=list)
    strings: list[tuple[int, str]] = field(default_factory=list)
    dates: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, int, Decimal, Decimal]] = field(default_factory=list)

    def settle(self) -> None:
        """Drop repetitions and put the keys in order."""
        self.keys = sorted(set(self.keys))
        for rows in (self.strings, self.dates, self.numbers):
            if len(rows) > 1:
                rows[:] = dict.fromkeys(rows)  # type: ignore[arg-type]
