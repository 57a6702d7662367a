"""The profiles, tags and security labels in use."""

from collections.abc import Iterable
from typing import Any

from fhir_server.outcome import Invalid, Issue
from fhir_server.search.query import Query
from fhir_server.search.settle import Settling, settled
from fhir_server.search.sql import Writer

MOST_LABELS = 10_000

_LABELS = (
    "select distinct k.kind, l.label from {s}.resource r cross join lateral (values "
    "('profile', r.content#>'{meta,profile}'), ('security', r.content#>'{meta,security}'), "
    "('tag', r.content#>'{meta,tag}')) k (kind, labels) "
    "cross join lateral jsonb_array_elements(k.labels) l (label) "
    "where [where] limit %s"
)


async def labels(at: Settling, query: Query) -> Iterable[tuple[str, Any]]:
    """Each label of what a query finds, after its element of Meta. Raises `Invalid`."""
    at = await at.informed()
    condition = await settled(query.types, query.condition, at)
    writer = Writer(gathering=True, common=at.common)
    where = f"{writer.live(query.types, condition, 'r')} and {writer.write(condition, 'r')}"
    text = _LABELS.replace("[where]", where)
    rows = await at.rows("labels in use", text, [*writer.values, MOST_LABELS + 1])
    if len(rows) > MOST_LABELS:
        raise Invalid(Issue("too-costly", f"More than {MOST_LABELS} labels are in use"), status=422)
    return [(kind, label) for kind, label in rows]
