"""Finds what comes along with matches, in rounds of one statement each.

A round looks at what the round before found: what it refers to, by its JSON, and what refers to it,
by search keys. Only rules with `:iterate` need more than one round. However much is found, the JSON
of hardly more than a page of it is held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from fhir_server.fhir_json import decode
from fhir_server.outcome import Invalid, Issue
from fhir_server.search import keys
from fhir_server.search.conditions import Circumstances
from fhir_server.search.includes import Include
from fhir_server.search.links import LinkReader, is_canonical
from fhir_server.search.lookups import START, Place, Row, Wanted, find, load, used
from fhir_server.search.parameters import SearchParameter, SearchParameters, link_key
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
    following = _Following(at, known, LinkReader(known, where), where, rules, roots, size)
    if any(rule.reverse and not rule.source for rule in rules):
        following.used = await used(at, known.types)
    if any(rule.iterate for rule in rules):
        return await following.again(after)
    return await following.once(after)


@dataclass(slots=True)
class _Ways:
    """How rules lead on from a type.

    forward: parameters of the type, and the types that they are followed to.
    reverse, by_url: hashes of the parameters that may refer to the type, and of those among them
    that do by url. keyed: those of which urls are found by keyed hashes.
    """

    forward: list[tuple[SearchParameter, str]]
    reverse: list[int]
    by_url: list[int]
    keyed: list[SearchParameter]

    @property
    def reads(self) -> bool:
        """Whether the JSON is needed."""
        return bool(self.forward or self.by_url)


@dataclass(slots=True)
class _Following:
    """What the rounds of one page have in common.

    used: types and codes of the parameters that have values; None if that was not asked.
    ways: by type, and whether they are those of later rounds.
    """

    at: Settling
    known: SearchParameters
    reader: LinkReader
    where: Circumstances
    rules: Sequence[Include]
    roots: Sequence[Row]
    size: int
    used: set[tuple[str, str]] | None = None
    ways: dict[tuple[str, bool], _Ways] = field(default_factory=dict)

    async def once(self, after: Place) -> Followed:
        """What the rules find from the matches."""
        wanted = await self._wanted(self.roots, later=False)
        if len(wanted.keys) > MOST_KEYS:
            text = "The matches may be referred to in too many ways; name a type and a parameter, "
            raise Invalid(Issue("too-costly", f"{text}as in Observation:subject, or lower _count"))
        current = [root.rid for root in self.roots]
        rows, total = await find(
            self.at, wanted, current, after=after, most=self.size, read=self.size
        )
        return Followed(rows, rows[-1].order if rows else after, total - len(rows))

    async def again(self, after: Place) -> Followed:
        """What the rules find from the matches and, if they iterate, from what was found."""
        found, stopped = await self._rounds()
        rest = sorted((row for row in found.values() if row.order > after), key=attrgetter("order"))
        shown = rest[: self.size]
        await self._read(shown)
        rows = [row for row in shown if row.content is not None]
        last = shown[-1].order if shown else after
        return Followed(rows, last, len(rest) - len(shown), stopped)

    async def _rounds(self) -> tuple[dict[Place, Row], str]:
        found: dict[Place, Row] = {}
        current = [root.rid for root in self.roots]
        edge = self.roots
        for number in range(MOST_ROUNDS):
            wanted = await self._wanted(edge, later=number > 0)
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
        return found, f"Links were followed {MOST_ROUNDS} times and would lead further"

    async def _wanted(self, edge: Sequence[Row], *, later: bool) -> Wanted:
        """What a round looks for; JSON that is read for it is let go again."""
        wanted = Wanted()
        for start in range(0, len(edge), _READ_TOGETHER):
            rows = edge[start : start + _READ_TOGETHER]
            ways = [self._ways_from(row.type, later) for row in rows]
            missing = [
                row
                for row, way in zip(rows, ways, strict=True)
                if way.reads and row.content is None
            ]
            await self._read(missing)
            for row, way in zip(rows, ways, strict=True):
                self._add(wanted, row, way)
            for row in missing:
                row.content = None
        wanted.links.versions -= {(root.type, root.id, root.version) for root in self.roots}
        return wanted

    async def _read(self, rows: Iterable[Row]) -> None:
        missing = {row.place: row for row in rows if row.content is None}
        for row in await load(self.at, list(missing)) if missing else ():
            missing[row.place].content = row.content

    def _add(self, wanted: Wanted, row: Row, way: _Ways) -> None:
        content = decode(row.content) if way.reads and row.content is not None else {}
        for parameter, target in way.forward:
            self.reader.read(content, parameter, target, wanted.links)
        if not way.reverse:
            return
        own = f"{row.type}/{row.id}"
        # As a client sees it, an absolute reference need not begin with what counts as own.
        seen = keys.reference_text(f"{self.where.seen_as}/{own}", self.where.base_url)
        for text in {own, seen} if self.where.seen_as else {own}:
            value = keys.hash64_uncached(text)
            wanted.keys.update(parameter ^ value for parameter in way.reverse)
            wanted.keys.update(link_key(parameter, text) for parameter in way.keyed)
        if url := content.get("url") if way.by_url else None:
            value = keys.hash64_uncached(url)
            wanted.keys.update(parameter ^ value for parameter in way.by_url)
            wanted.keys.update(link_key(parameter, url) for parameter in way.keyed)

    def _ways_from(self, type_: str, later: bool) -> _Ways:
        found = self.ways.get((type_, later))
        if found is None:
            rules = [rule for rule in self.rules if rule.iterate or not later]
            found = self.ways[type_, later] = self._ways(type_, rules)
        return found

    def _ways(self, type_: str, rules: Sequence[Include]) -> _Ways:
        forward = [
            (parameter, rule.target)
            for rule in rules
            if not rule.reverse
            for parameter in rule.of(self.known, type_)
        ]
        referring = [
            parameter
            for rule in rules
            if rule.reverse and rule.target in ("", type_)
            for source in ([rule.source] if rule.source else self.known.types)
            for parameter in rule.of(self.known, source)
            if type_ in (parameter.targets or (type_,))
            if self.used is None or (source, parameter.code) in self.used
        ]
        named = referring if self.reader.has_url(type_) else []
        by_url = [parameter.hash for parameter in named if is_canonical(parameter)]
        keyed = [parameter for parameter in referring if parameter.keyed is not None]
        return _Ways(forward, [parameter.hash for parameter in referring], by_url, keyed)
