"""What the index holds of one resource."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_server.search.keys import contained_text, hash64_uncached
from fhir_server.storage.resources import Contained


@dataclass(slots=True)
class IndexEntries:
    """The rows of one resource; the first item of a tuple is the hash of `Patient|family`.

    keys: see `fhir_server.search.keys`; sorted and unique.
    targets: hashes of `Patient/123`, of this server's resources that it refers to; unique.
    strings: normalised text.
    dates: UTC microseconds since 1970, end excluded.
    numbers: unit hash, lowest value, highest value; both are the value where there is but one.
    texts: for the vocabulary, where a query looks up texts before it makes keys of them.
    contained: what contained resources are found by; their ordered values are among these here,
        each under its parameter xor the place of the contained resource.
    container: `Patient/123`, which `#id` is relative to; empty if there is none.
    present: bits of the parameters that have a value, as `fhir_server.search.presence` counts them.
    """

    keys: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    strings: list[tuple[int, str]] = field(default_factory=list)
    dates: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, int, Decimal, Decimal]] = field(default_factory=list)
    texts: list[tuple[int, str]] = field(default_factory=list)
    contained: list[Contained] = field(default_factory=list)
    container: str = ""
    present: int = 0

    def contain(self, place: int, type_: str, id_: str, inner: "IndexEntries") -> None:
        """Add those of a contained resource, which are settled."""
        reference = hash64_uncached(contained_text(self.container, f"#{id_}"))
        self.contained.append(Contained(place, type_, id_, reference, inner.keys, inner.targets))
        self.strings += [(name ^ place, text) for name, text in inner.strings]
        self.dates += [(name ^ place, low, high) for name, low, high in inner.dates]
        self.numbers += [(name ^ place, unit, low, high) for name, unit, low, high in inner.numbers]
        self.texts += inner.texts

    def settle(self) -> None:
        """Drop repetitions and put the keys in order."""
        self.keys = sorted(set(self.keys))
        for rows in (self.targets, self.strings, self.dates, self.numbers, self.texts):
            _make_unique(rows)


def _make_unique(rows: list[Any]) -> None:
    if len(rows) > 1:
        rows[:] = dict.fromkeys(rows)
