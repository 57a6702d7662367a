"""What is in a value set (R4 valueset.html#compose).

A code is in it when at least one include has it and no exclude does. An include has a code when
its system, its filters and each of its imported value sets have it.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from fhir_server.outcome import Refusal
from fhir_server.terminology import refusals
from fhir_server.terminology.expansion import Block, Expansion
from fhir_server.terminology.members import Member, Selection

# More codes than any use on a screen or in a search needs; the largest systems have 400,000.
MOST_CODES = 500_000
# Parts of a value set, those of imported value sets counted each time they are imported.
MOST_PARTS = 5_000


class Found(NamedTuple):
    """A code in a value set, as its system writes it, and what it came from."""

    selection: Selection
    code: str


class Clause:
    """One include or exclude.

    selection: the part of it that a system gives, if it names one.
    imports: value sets of which each must have a code, or why there is none.
    """

    def __init__(
        self, selection: Selection | None, imports: Sequence["ValueSetRules | Refusal"]
    ) -> None:
        self.selection = selection
        self._imports = tuple(imports)
        self._parts = (*([selection] if selection else ()), *self._imports)
        self.parts: int = 1 + sum(
            each.parts for each in self._imports if isinstance(each, ValueSetRules)
        )

    def may_have(self, system: str) -> bool:
        """Whether a code of a system can be in it at all."""
        return self.selection is None or self.selection.system == system

    def find(self, system: str, code: str) -> Found | None:
        """The code, if it is in this. Raises a Refusal if that cannot be known."""
        if not self.may_have(system):
            return None
        found: Found | None = None
        refused: Refusal | None = None
        for part in self._parts:
            try:
                inside = _ask(part, system, code)
            except Refusal as refusal:
                refused = refused or refusal
                continue
            if inside is None:
                return None
            found = found or inside
            code = found.code
        if refused:
            raise refused
        return found

    def systems(self) -> tuple[str, ...]:
        """The systems that its codes may be of."""
        if self.selection is not None:
            return (self.selection.system,)
        return _known(self._imports[0]).systems() if self._imports else ()

    def partial(self) -> tuple[str, ...]:
        """The systems of which there is only a part, so that codes may be missing from it."""
        if self.selection is not None:
            return (self.selection.system,) if self.selection.partial else ()
        return _known(self._imports[0]).expansion.partial if self._imports else ()

    def blocks(self) -> Iterator[Block]:
        """The codes in order. Raises a Refusal if they cannot be listed."""
        if self.selection is not None:
            codes = self.selection.enumerated()
            yield self._narrowed(Block(self.selection, list(codes)), self._imports)
        elif self._imports:
            first, *others = self._imports
            for block in _known(first).expansion.blocks:
                yield self._narrowed(block, others)

    @staticmethod
    def _narrowed(block: Block, imports: Sequence["ValueSetRules | Refusal"]) -> Block:
        codes = block.codes
        for imported in imports:
            inside = _known(imported).of_system(block.selection.system)
            codes = [code for code in codes if code in inside]
        return Block(block.selection, codes) if imports else block


class ValueSetRules:
    """A value set that can say what is in it, without listing everything where it need not.

    active_only: codes no longer in use are not in it.
    Raises a Refusal for one made of too many parts.
    """

    def __init__(
        self,
        url: str,
        version: str,
        includes: Sequence[Clause],
        excludes: Sequence[Clause] = (),
        *,
        active_only: bool = False,
    ) -> None:
        self.url = url
        self.version = version
        self._includes = tuple(includes)
        self._excludes = tuple(excludes)
        self._active_only = active_only
        self.parts: int = 1 + sum(clause.parts for clause in (*includes, *excludes))
        if self.parts > MOST_PARTS:
            why = f"it is made of more than {MOST_PARTS} parts"
            raise refusals.not_understood("ValueSet", url, why)

    @property
    def weight(self) -> int:
        """How many codes it keeps, at most."""
        selections = (clause.selection for clause in (*self._includes, *self._excludes))
        return self.parts + sum(len(each.codes) for each in selections if each)

    def find(self, system: str, code: str) -> Found | None:
        """The code, if it is in the value set. Raises a Refusal if that cannot be known."""
        found = _first(self._includes, system, code)
        if found is None:
            return None
        if self._excludes and _first(self._excludes, system, found.code) is not None:
            return None
        if self._active_only and found.selection.is_inactive(found.code):
            return None
        return found

    def member(self, system: str, code: str) -> Member | None:
        """The code with its texts, if it is in the value set."""
        found = self.find(system, code)
        return found.selection.member(found.code) if found else None

    def systems(self) -> tuple[str, ...]:
        """The systems that its codes may be of."""
        found: dict[str, None] = {}
        for clause in self._includes:
            found |= dict.fromkeys(clause.systems())
        return tuple(found)

    def of_system(self, system: str) -> Container[str]:
        """The codes of one system, at least to be asked one by one."""
        try:
            if not self.expansion.partial:
                return self.expansion.codes.get(system, frozenset())
        except Refusal:
            pass
        return _Asked(lambda code: self.find(system, code) is not None)

    @property
    def is_expanded(self) -> bool:
        """Whether its codes have been listed already."""
        return "expansion" in self.__dict__

    @cached_property
    def expansion(self) -> Expansion:
        """Its codes in order, each once. Raises a Refusal if they cannot be listed."""
        seen: dict[str, set[str]] = {}
        blocks: list[Block] = []
        unlisted: list[tuple[str, str]] = []
        partial: dict[str, None] = {}
        total = 0
        for clause in self._includes:
            if clause.selection:
                system = clause.selection.system
                unlisted += ((system, code) for code in clause.selection.unlisted)
            partial |= dict.fromkeys(clause.partial())
            for block in clause.blocks():
                remaining = self._remaining(block, seen.setdefault(block.selection.system, set()))
                blocks.append(remaining)
                total += len(remaining.codes)
                if total > MOST_CODES:
                    raise refusals.too_costly(self.url, total, MOST_CODES)
        return Expansion(self.url, self.version, blocks, unlisted, tuple(partial))

    def _remaining(self, block: Block, seen: set[str]) -> Block:
        system = block.selection.system
        codes = block.codes
        if seen:
            codes = [code for code in codes if code not in seen]
        excludes = [clause for clause in self._excludes if clause.may_have(system)]
        if excludes:
            codes = [code for code in codes if _first(excludes, system, code) is None]
        if self._active_only:
            codes = [code for code in codes if not block.selection.is_inactive(code)]
        seen.update(codes)
        return block if codes is block.codes else Block(block.selection, codes)


class _Asked:
    """A set that is known by asking."""

    def __init__(self, has: Callable[[str], bool]) -> None:
        self._has = has

    def __contains__(self, code: object) -> bool:
        return isinstance(code, str) and self._has(code)


def _ask(part: "Selection | ValueSetRules | Refusal", system: str, code: str) -> Found | None:
    """A code in one of the things that an include demands together."""
    if isinstance(part, Selection):
        written = part.find(code)
        return None if written is None else Found(part, written)
    return _known(part).find(system, code)


def _known(imported: ValueSetRules | Refusal) -> ValueSetRules:
    if isinstance(imported, Refusal):
        raise refusals.again(imported)
    return imported


def _first(clauses: Sequence[Clause], system: str, code: str) -> Found | None:
    """The first that has a code; what cannot be known matters only if none has it."""
    refused: Refusal | None = None
    for clause in clauses:
        try:
            found = clause.find(system, code)
        except Refusal as refusal:
            refused = refused or refusal
            continue
        if found is not None:
            return found
    if refused:
        raise refused
    return None
