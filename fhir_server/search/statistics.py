"""What PostgreSQL knows about how common search keys are.

It decides in which order things are tried, never what is found: without it, or with old figures,
answers are the same and come later.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from fhir_server.search.conditions import AllOf, AnyOf, Column, Condition, Keys
from fhir_server.storage.store import Connection

_SECONDS = 60.0
# Of all resources, the share from which a value counts as frequent.
_FREQUENT = 0.005

_SQL = """
select key, share from pg_stats, unnest(most_common_elems::text::bigint[], most_common_elem_freqs)
  as common (key, share)
where schemaname = %s and tablename = 'resource' and attname = 'keys' and key is not null"""


class Density(Enum):
    """How many resources meet a condition, as far as that is known."""

    RARE = 1
    UNKNOWN = 2
    FREQUENT = 3


@dataclass(frozen=True, slots=True)
class CommonKeys:
    """The most common keys with the share of resources that have them; none when not known."""

    shares: Mapping[int, float] = field(default_factory=dict)

    def density(self, condition: Condition) -> Density:
        """Of what keys can tell about."""
        match condition:
            case Keys(any_of=keys) if self.shares:
                share = sum(self.shares.get(key, 0.0) for key in keys)
                if share >= _FREQUENT:
                    return Density.FREQUENT
                rare = len(keys) <= _FEW and not any(key in self.shares for key in keys)
                return Density.RARE if rare else Density.UNKNOWN
            case Column(few=True):
                return Density.RARE
            case AllOf(of=members) if members:
                return min((self.density(item) for item in members), key=lambda item: item.value)
            case AnyOf(of=members) if members:
                return max((self.density(item) for item in members), key=lambda item: item.value)
        return Density.UNKNOWN


# As many rare values may together be frequent.
_FEW = 20


class Statistics:
    """The common keys of each tenant, read from the database once a minute."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, CommonKeys]] = {}

    async def common_keys(self, connection: Connection, schema: str) -> CommonKeys:
        """Those of a tenant's schema, quoted or not."""
        until, found = self._known.get(schema, (0.0, CommonKeys()))
        if time.monotonic() >= until:
            cursor = await connection.execute(_SQL, (schema.strip('"'),), prepare=False)
            found = CommonKeys(dict(await cursor.fetchall()))
            self._known[schema] = time.monotonic() + _SECONDS, found
        return found
