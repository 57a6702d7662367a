"""The codes of a value set, in order, to be filtered and paged (R4 valueset.html#expansion)."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import overload

from fhir_server.terminology.members import Member, Selection
from fhir_server.terminology.words import WordIndex, words


class _Picked(Sequence[str]):
    """Some of many codes, looked up only when they are shown."""

    def __init__(self, codes: Sequence[str], places: Sequence[int]) -> None:
        self._codes = codes
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return _Picked(self._codes, self._places[at])
        return self._codes[self._places[at]]


class Block:
    """Codes of one selection that stand together."""

    def __init__(self, selection: Selection, codes: Sequence[str]) -> None:
        self.selection = selection
        self.codes = codes

    @cached_property
    def words(self) -> WordIndex:
        """The words of what there is to show of each code."""
        return self.selection.words(self.codes)

    def where(self, wanted: Sequence[str]) -> "Block":
        """The codes with words that begin with each of those wanted."""
        return Block(self.selection, _Picked(self.codes, self.words.find(wanted)))

    def active(self) -> "Block":
        """The codes that are in use."""
        inactive = self.selection.is_inactive
        return Block(self.selection, [code for code in self.codes if not inactive(code)])


class Expansion:
    """All codes of a value set; what is shown of each is put together when it is asked for.

    unlisted: system and code of what the value set names although its code system lacks it.
    partial: systems of which there is only a part, so that codes may be missing.
    """

    def __init__(
        self,
        url: str,
        version: str,
        blocks: Sequence[Block],
        unlisted: Sequence[tuple[str, str]] = (),
        partial: Sequence[str] = (),
    ) -> None:
        self.url = url
        self.version = version
        self.blocks = tuple(block for block in blocks if block.codes)
        self.unlisted = tuple(unlisted)
        self.partial = tuple(partial)
        self.total = sum(len(block.codes) for block in self.blocks)

    @cached_property
    def codes(self) -> Mapping[str, frozenset[str]]:
        """The codes by system."""
        found: dict[str, set[str]] = {}
        for block in self.blocks:
            found.setdefault(block.selection.system, set()).update(block.codes)
        return {system: frozenset(codes) for system, codes in found.items()}

    @property
    def used(self) -> tuple[str, ...]:
        """The code systems that were used, as `url|version` where the version is known."""
        names = {
            f"{block.selection.system}|{block.selection.version}".rstrip("|"): None
            for block in self.blocks
        }
        return tuple(names)

    @cached_property
    def active(self) -> "Expansion":
        """Without the codes that are no longer used."""
        return self._of([block.active() for block in self.blocks])

    def where(self, text: str) -> "Expansion":
        """The codes with a display, designation or code that has each word of `text`.

        A word is found where a word begins with it, whatever the case and accents.
        """
        wanted = words(text)
        if not wanted:
            return self
        return self._of([block.where(wanted) for block in self.blocks])

    def narrowed(self, keep: Callable[[Block], Block]) -> "Expansion":
        """What a function leaves of each block."""
        return self._of([keep(block) for block in self.blocks])

    def page(self, offset: int = 0, count: int | None = None) -> list[Member]:
        """The members from an offset on, all of them if no count is given."""
        found: list[Member] = []
        for block in self.blocks:
            if offset >= len(block.codes):
                offset -= len(block.codes)
                continue
            end = None if count is None else offset + count - len(found)
            found += map(block.selection.member, block.codes[offset:end])
            offset = 0
            if count is not None and len(found) >= count:
                break
        return found

    def _of(self, blocks: Sequence[Block]) -> "Expansion":
        return Expansion(self.url, self.version, blocks, self.unlisted, self.partial)
