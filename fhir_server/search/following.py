"""Finds what comes along with matches, in rounds of one statement each.

A round looks at what the round before found: what it refers to, by its JSON, and what refers to it,
by search keys. Only rules with `:iterate` need more than one round. However much is found, the JSON
of no more than a page of it is held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.fhir_json import decode
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import keys
from fhir_server.search.conditions import Circumstances
from fhir_server.search.includes import Include
from fhir_server.search.links import LinkReader, is_canonical
from fhir_server.search.lookups import START, Place, Row, Wanted, find, load, used
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.settle import Settling

MOST_ROUNDS = 50
MOST_FOLLOWED = 20_000
MOST_KEYS = 50_000
_READ_TOGETHER = 500


@dataclass(slots=True)
class Followed:
    """A page of what comes along.

    last: the place up to which it goes.
    more: how much more follows.
    stopped: why not everything was followed; empty if it was.
    """

    rows: list[Row]
    last: Place
    more: int = 0
    stopped: str = ""


async def follow(
    at: Settling,
    known: SearchParameters,
    where: Circumstances,
    rules: Sequence[Include],
    roots: Sequence[Row],
    *,
    after: Place,
    size: int,
) -> Followed:
    """What comes along with the matches `roots`, ordered by place, at most `size` after a place.

    Raises `Invalid` for rules that take too many look-ups.
    """
    following = _Following(at, known, LinkReader(known, where), where, roots, size)
    if any(rule.reverse and not rule.source for rule in rules):
        following.used = await used(at, known.types)
    if any(rule.iterate for rule in rules):
        return await following.again(rules, after)
    return await following.once(rules, after)


@dataclass(slots=True)
class _Following:
    """What the rounds of one page have in common.

    used: types and codes of the parameters that have values; None if that was not asked.
    hashes: of the parameters that may refer to a type, by rule.
    """

    at: Settling
    known: SearchParameters
    reader: LinkReader
    where: Circumstances
    roots: Sequence[Row]
    size: int
    used: set[tuple[str, str]] | None = None
    hashes: dict[tuple[Include, str], tuple[list[int], list[int]]] = field(default_factory=dict)

    async def once(self, rules: Sequence[Include], after: Place) -> Followed:
        """What the rules find from the matches."""
        wanted = await self._wanted(self.roots, rules)
        if len(wanted.keys) > MOST_KEYS:
            text = "The matches may be referred to in too many ways; name a type and a parameter, "
            raise Invalid(Issue("too-costly", f"{text}as in Observation:subject, or lower _count"))
        current = [root.rid for root in self.roots]
        rows, total = await find(
            self.at, wanted, current, after=after, most=self.size, read=self.size
        )
        return Followed(rows, rows[-1].place if rows else after, total - len(rows))

    async def again(self, rules: Sequence[Include], after: Place) -> Followed:
        """What the rules find from the matches and, if they iterate, from what was found."""
        found, stopped = await self._rounds(rules)
        places = sorted(place for place in found if place > after)
        shown = [found[place] for place in places[: self.size]]
        await self._read(shown)
        rows = [row for row in shown if row.content is not None]
        last = shown[-1].place if shown else after
        return Followed(rows, last, len(places) - len(shown), stopped)

    async def _rounds(self, rules: Sequence[Include]) -> tuple[dict[Place, Row], str]:
        found: dict[Place, Row] = {}
        current = [root.rid for root in self.roots]
        edge, iterating = self.roots, [rule for rule in rules if rule.iterate]
        for _ in range(MOST_ROUNDS):
            wanted = await self._wanted(edge, rules)
            if len(wanted.keys) > MOST_KEYS:
                return found, "What was found may be referred to in too many ways"
            room = MOST_FOLLOWED - len(found)
            read = self.size - sum(row.content is not None for row in found.values())
            rows, total = await find(self.at, wanted, current, after=START, most=room, read=read)
            edge = [row for row in rows if row.place not in found]
            found |= {row.place: row for row in edge}
            current += [row.rid for row in edge if not row.old]
            if total > room:
                return found, f"More than {MOST_FOLLOWED} resources are linked to the matches"
            if not edge:
                return found, ""
            rules = iterating
        return found, f"Links were followed {MOST_ROUNDS} times and would lead further"

    async def _wanted(self, edge: Sequence[Row], rules: Sequence[Include]) -> Wanted:
        """What a round looks for; JSON that is read for it is let go again."""
        wanted = Wanted()
        for start in range(0, len(edge), _READ_TOGETHER):
            rows = edge[start : start + _READ_TOGETHER]
            missing = [row for row in rows if row.content is None and self._reads(row.type, rules)]
            await self._read(missing)
            for row in rows:
                self._add(wanted, row, rules)
            for row in missing:
                row.content = None
        wanted.links.versions -= {(root.type, root.id, root.version) for root in self.roots}
        return wanted

    async def _read(self, rows: Iterable[Row]) -> None:
        missing = {row.place: row for row in rows if row.content is None}
        for row in await load(self.at, list(missing)) if missing else ():
            missing[row.place].content = row.content

    def _reads(self, type_: str, rules: Iterable[Include]) -> bool:
        """Whether rules need the JSON of a type: its references, or its url."""
        return any(
            bool(self._referring(rule, type_)[1]) if rule.reverse else rule.source in ("", type_)
            for rule in rules
        )

    def _add(self, wanted: Wanted, row: Row, rules: Iterable[Include]) -> None:
        reads = row.content is not None and self._reads(row.type, rules)
        content = decode(row.content) if row.content is not None and reads else {}
        for rule in rules:
            if rule.reverse:
                wanted.keys.update(self._keys_to(row, content, rule))
                continue
            for parameter in rule.of(self.known, row.type):
                self.reader.read(content, parameter, rule.target, wanted.links)

    def _keys_to(self, row: Row, content: Any, rule: Include) -> Iterable[int]:
        """The keys of resources that refer to a row as the rule says."""
        parameters, by_url = self._referring(rule, row.type)
        own = f"{row.type}/{row.id}"
        # As a client sees it, an absolute reference need not begin with what counts as own.
        seen = keys.reference_text(f"{self.where.seen_as}/{own}", self.where.base_url)
        for text in {own, seen} if self.where.seen_as else {own}:
            value = keys.hash64_uncached(text)
            yield from (parameter ^ value for parameter in parameters)
        if url := content.get("url") if by_url else None:
            value = keys.hash64_uncached(url)
            yield from (parameter ^ value for parameter in by_url)

    def _referring(self, rule: Include, type_: str) -> tuple[list[int], list[int]]:
        """Hashes of the parameters that may refer to a type: all, and those that do by url."""
        found = self.hashes.get((rule, type_))
        if found is None:
            sources = [rule.source] if rule.source else self.known.types
            parameters = [
                parameter
                for source in sources
                for parameter in rule.of(self.known, source)
                if rule.target in ("", type_) and type_ in (parameter.targets or (type_,))
                if self.used is None or (source, parameter.code) in self.used
            ]
            named = parameters if self.reader.has_url(type_) else []
            by_url = [parameter.hash for parameter in named if is_canonical(parameter)]
            found = self.hashes[rule, type_] = [item.hash for item in parameters], by_url
        return found
