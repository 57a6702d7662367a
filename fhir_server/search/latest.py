"""The last observations of each kind, for `$lastn` (R4 observation-operation-lastn.html)."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import Invalid, Issue
from fhir_server.search.keys import hash64, parameter_name
from fhir_server.search.lookups import Place
from fhir_server.search.query import Query
from fhir_server.search.settle import Settling, settled
from fhir_server.search.sql import Writer

# Observations that are the last ones of a code as it is written, before codes are put together.
MOST_CANDIDATES = 20_000

# Observations at one time have one rank; those without a time have no time in common.
_LATEST = (
    "with found as (select r.rid, r.version, r.content#>>'{subject,reference}' as subject, "
    "r.content->'code' as code, (select max(v.low) from {s}.date_value v "
    "where v.rid = r.rid and v.parameter = %s) as at from {s}.resource r where [where]), "
    "ranked as (select *, rank() over (partition by subject, code order by at desc nulls last, "
    "case when at is null then rid end desc) as n from found) "
    "select rid, version, subject, code, at from ranked where n <= %s "
    "order by at desc nulls last, rid desc limit %s"
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    place: Place
    subject: str | None
    code: dict[str, Any]
    at: int | None

    @property
    def names(self) -> list[Hashable]:
        """What tells that two codes are the same: each coding, or else the text."""
        codings = self.code.get("coding", ())
        coded = [(item.get("system"), item["code"]) for item in codings if "code" in item]
        return [(self.subject, *each) for each in coded] or [(self.subject, self.code.get("text"))]


async def latest(at: Settling, query: Query, most: int) -> list[Place]:
    """Where the last observations of each code and subject are, the most recent first.

    most: of each; more where the last ones are of one time. Codes that share a coding are one, and
    so are those that are one with the same third one. Raises `Invalid` for too many.
    """
    at = await at.informed()
    condition = await settled(query.types, query.condition, at)
    writer = Writer(gathering=True, common=at.common)
    writer.values.append(hash64(parameter_name("Observation", "date")))
    where = f"{writer.live(query.types, condition, 'r')} and {writer.write(condition, 'r')}"
    text = _LATEST.replace("[where]", where)
    rows = await at.rows("last of each code", text, [*writer.values, most, MOST_CANDIDATES + 1])
    if len(rows) > MOST_CANDIDATES:
        text = f"More than {MOST_CANDIDATES} observations are the last of their codes; ask for less"
        raise Invalid(Issue("too-costly", text), status=422)
    candidates = [
        _Candidate((rid, version), subject, code or {}, time)
        for rid, version, subject, code, time in rows
    ]
    return _last_of_groups(candidates, most)


def _last_of_groups(candidates: Iterable[_Candidate], most: int) -> list[Place]:
    """The last of each group, of candidates with the most recent first."""
    ordered = list(candidates)
    groups = _Groups()
    for each in ordered:
        groups.join(each.names)
    shown: dict[Hashable, list[_Candidate]] = {}
    found = []
    for each in ordered:
        group = shown.setdefault(groups.of(each.names[0]), [])
        tied = bool(group) and each.at is not None and each.at == group[-1].at
        if len(group) < most or tied:
            group.append(each)
            found.append(each.place)
    return found


class _Groups:
    """Names that mean the same, put together."""

    def __init__(self) -> None:
        self._above: dict[Hashable, Hashable] = {}

    def of(self, name: Hashable) -> Hashable:
        """The name that stands for its group."""
        while (above := self._above.setdefault(name, name)) != name:
            self._above[name] = self._above[above]
            name = above
        return name

    def join(self, names: Iterable[Hashable]) -> None:
        """Make one group of those of several names."""
        first, *others = (self.of(name) for name in names)
        for other in others:
            self._above[other] = first
