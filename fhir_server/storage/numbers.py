"""Numbers for people: given to a process in blocks, and held by one resource each.

A block is taken by a statement that commits alone, so nobody waits for another's transaction; what
is left of it when the process ends is a gap. Who may use a number is decided by its claim, which
stands in the transaction of the resource that carries it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from fhir_server.storage.counters import take
from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# As many are lost at most when a process ends.
BLOCK = 50


class Claim(NamedTuple):
    """A number as an identifier, and the `Type/id` that is to carry it."""

    system: str
    value: str
    holder: str


class Blocks:
    """The numbers that one process may give out."""

    def __init__(self, size: int = BLOCK) -> None:
        self._size = size
        self._left: dict[tuple[str, str, str], list[int]] = {}

    async def fill(
        self, connection: Connection, tenant: str, scope: str, wanted: Mapping[str, int]
    ) -> None:
        """Make sure that so many numbers of each counter are there, if nobody is faster.

        connection: one on which each statement commits by itself.
        """
        for name, count in sorted(wanted.items()):
            left = self._left.setdefault((tenant, name, scope), [])
            if len(left) < count:
                more = max(self._size, count)
                left.extend(await take(connection, tenant, name, scope, count=more))

    def lacks(self, tenant: str, scope: str, wanted: Mapping[str, int]) -> bool:
        """Whether `fill` would have something to do."""
        return any(
            len(self._left.get((tenant, name, scope), ())) < count for name, count in wanted.items()
        )

    async def next(
        self, connection: Connection, tenant: str, scope: str, name: str, count: int
    ) -> list[int]:
        """`count` numbers, the lowest first, that no other process has.

        connection: a transaction's; what the block lacks is taken from the counter in it, so that
        it comes back if the transaction fails.
        """
        left = self._left.get((tenant, name, scope), [])
        found, left[:count] = left[:count], []
        if len(found) < count:
            missing = count - len(found)
            found.extend(await take(connection, tenant, name, scope, count=missing))
        return found


async def claim(
    connection: Connection, tenant: str, claims: Collection[Claim]
) -> dict[tuple[str, str], str]:
    """The holder of each number, by system and value, after claiming those that are free.

    A claim lasts as long as what the caller's transaction stores. Who claims a number that an open
    transaction has claimed waits for its end.
    """
    if not claims:
        return {}
    table = f"{schema_name(tenant)}.claimed_number"
    # In one order, so that two transactions do not wait for each other.
    ordered = sorted(set(claims))
    cursor = await connection.execute(
        f"insert into {table} (system, value, holder) "
        "select * from unnest(%s::text[], %s::text[], %s::text[]) "
        "on conflict do nothing returning system, value, holder",
        _columns(ordered),
    )
    found = {(system, value): holder for system, value, holder in await cursor.fetchall()}
    taken = sorted({each[:2] for each in ordered} - set(found))
    if taken:
        cursor = await connection.execute(
            f"select system, value, holder from {table} "
            "where (system, value) in (select * from unnest(%s::text[], %s::text[]))",
            _columns(taken),
        )
        found |= {(system, value): holder for system, value, holder in await cursor.fetchall()}
    return found


def _columns(rows: Sequence[tuple[str, ...]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]
