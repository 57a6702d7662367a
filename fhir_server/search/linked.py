"""What a group of resources refers to, and when care was given: what `$everything` adds to them."""

from collections.abc import Collection, Sequence

from fhir_server.outcome import Invalid, Issue
from fhir_server.search.conditions import NEVER, Column, Condition
from fhir_server.search.settle import Settling, settle
from fhir_server.search.sql import Writer

# Resources that are referred to, and how often references are followed.
MOST_LINKED = 20_000
MOST_ROUNDS = 10

_LINKED = (
    "select distinct t.reference_key from ("
    "select distinct l.key from {s}.resource r, unnest(r.targets) l (key) "
    "where r.content is not null and ([where])) l "
    "join {s}.resource t on t.reference_key = l.key "
    "where t.content is not null and t.type <> all(%s::text[]) limit %s"
)
_CARE = (
    "(exists (select from {s}.date_value v where v.rid = {r}.rid "
    "and v.parameter = any(%s::bigint[]) and v.low < %s and v.high > %s) or not exists ("
    "select from {s}.date_value v where v.rid = {r}.rid and v.parameter = any(%s::bigint[])))"
)


async def linked(
    at: Settling, group: Condition, first: Collection[str], later: Collection[str]
) -> Condition:
    """The condition on what a group of resources refers to, and on what that refers to.

    first, later: types that are not followed to, from the group and from what it refers to.
    Raises `Invalid` for too many.
    """
    at = await at.informed()
    found = await _round(at, await settle(group, at), first)
    edge = sorted(found)
    for _ in range(MOST_ROUNDS):
        if not edge:
            return _named(sorted(found)) if found else NEVER
        edge = sorted(await _round(at, _named(edge), later) - found)
        found.update(edge)
    raise Invalid(Issue("too-costly", f"References go on after {MOST_ROUNDS} of them"), status=422)


async def _round(at: Settling, group: Condition, excluded: Collection[str]) -> set[int]:
    writer = Writer(gathering=True, common=at.common)
    text = _LINKED.replace("[where]", writer.write(group, "r"))
    values = [*writer.values, sorted(excluded), MOST_LINKED + 1]
    rows = await at.rows("references of a group", text, values)
    if len(rows) > MOST_LINKED:
        text = f"More than {MOST_LINKED} resources are referred to; ask for fewer types"
        raise Invalid(Issue("too-costly", text), status=422)
    return {key for (key,) in rows}


def _named(keys: Sequence[int]) -> Column:
    return Column("{r}.reference_key = any(%s::bigint[])", (list(keys),), few=True)


def care_between(parameters: Sequence[int], low: int, high: int) -> Condition:
    """The condition that a date lies in part between two instants, or that there is none.

    parameters: the hashes of those that tell when care was given, of all types.
    """
    hashes = list(parameters)
    return Column(_CARE, (hashes, high, low, hashes))
