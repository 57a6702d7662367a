"""Which parameters have a value in a resource, for `:missing` (R4 search.html#modifiers)."""

from collections.abc import Iterable
from functools import lru_cache

from fhir_server.search import keys
from fhir_server.search.entries import IndexEntries

_REMEMBERED = 4096


class Presence:
    """Counts the parameters of one type as bits, and enters those a resource has.

    codes: of the parameters of the type.
    """

    def __init__(self, resource_type: str, codes: Iterable[str]) -> None:
        self._codes = sorted(set(codes))
        self._bits = {code: 1 << place for place, code in enumerate(self._codes)}
        self._parameter = keys.hash64(keys.presence_parameter(resource_type))
        self._entered = lru_cache(_REMEMBERED)(self._enter)

    def bits(self, codes: Iterable[str]) -> int:
        """What `IndexEntries.present` has to contain when the parameters `codes` have a value."""
        found = 0
        for code in codes:
            found |= self._bits[code]
        return found

    def enter(self, entries: IndexEntries) -> None:
        """Enter the parameters that `entries.present` says there are."""
        key, text = self._entered(entries.present)
        entries.keys.append(key)
        entries.texts.append(text)

    def _enter(self, present: int) -> tuple[int, tuple[int, str]]:
        text = keys.presence_text(code for code in self._codes if present & self._bits[code])
        return self._parameter ^ keys.hash64_uncached(text), (self._parameter, text)
