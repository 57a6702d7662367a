"""The keys of what is encrypted at rest, wrapped, and what is encrypted by them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# States of what is sealed: as it should be, with other elements than before, with another key.
READY, CHANGING, ROTATING = "ready", "changing", "rotating"

# What a key is for.
DATA, SEARCH = "data", "search"

Elements = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class SealState:
    """What is sealed in a tenant's tables.

    elements: by type, those that are sealed when they are written. former: those that may be
        sealed in what was written before. generation: of the index, from which on that is so.
    search_key: the number of the key of keyed hashes; None if nothing was ever sealed.
    newest: the highest number of any key, 0 without one. current: of the key that encrypts.
    latest: of the newest key for that, which may not be in use yet.
    """

    elements: Elements = field(default_factory=dict)
    former: Elements = field(default_factory=dict)
    state: str = READY
    generation: int = 0
    search_key: int | None = None
    newest: int = 0
    current: int = 0
    latest: int = 0

    @property
    def order(self) -> tuple[int, int, int]:
        """Grows with every change of elements and keys."""
        return self.generation, self.newest, self.current


# One value of a row, so that it can be read with the state of the index as both were at one time.
SEAL_STATE = (
    "(select jsonb_build_array(elements, former, state, generation, search_key, "
    "coalesce((select max(number) from {s}.data_key), 0), "
    "coalesce((select max(number) from {s}.data_key "
    "where purpose = 'data' and used_from <= clock_timestamp()), 0), "
    "coalesce((select max(number) from {s}.data_key where purpose = 'data'), 0)) "
    "from {s}.seal_state)"
)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key as the database has it. master: the name of what wraps it."""

    number: int
    purpose: str
    master: str
    wrapped: bytes
    created: datetime
    used_from: datetime
    retired: datetime | None


async def held_keys(connection: Connection, tenant: str) -> list[HeldKey]:
    """All keys of a tenant, the oldest first."""
    cursor = await connection.execute(
        "select number, purpose, master, wrapped, created, used_from, retired "
        f"from {schema_name(tenant)}.data_key order by number"
    )
    return [HeldKey(*row) for row in await cursor.fetchall()]


async def add_key(connection: Connection, tenant: str, key: HeldKey) -> None:
    """Keep another key. Raises psycopg.errors.UniqueViolation when its number is taken."""
    await connection.execute(
        f"insert into {schema_name(tenant)}.data_key "
        "(number, purpose, master, wrapped, created, used_from) values (%s, %s, %s, %s, %s, %s)",
        (key.number, key.purpose, key.master, key.wrapped, key.created, key.used_from),
    )


async def rewrap(
    connection: Connection, tenant: str, number: int, master: str, wrapped: bytes
) -> None:
    """Keep the same key as another master key wraps it."""
    await connection.execute(
        f"update {schema_name(tenant)}.data_key set master = %s, wrapped = %s where number = %s",
        (master, wrapped, number),
    )


async def change(connection: Connection, tenant: str, state: SealState) -> None:
    """Have other elements sealed, or keys used, from now on."""
    await connection.execute(
        f"update {schema_name(tenant)}.seal_state set elements = %s, former = %s, state = %s, "
        "generation = %s, search_key = %s",
        (
            Jsonb(dict(state.elements)),
            Jsonb(dict(state.former)),
            state.state,
            state.generation,
            state.search_key,
        ),
    )


async def settle(
    connection: Connection, tenant: str, generation: int, key: int, now: datetime
) -> bool:
    """Note that everything is sealed as it should be, by one key; the others have had their day.

    False, and nothing noted, when something has changed since that generation, or a key has come.
    """
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"update {schema}.seal_state set state = 'ready', former = '{{}}' where generation = %s "
        f"and not exists (select from {schema}.data_key where purpose = 'data' and number > %s)",
        (generation, key),
    )
    if cursor.rowcount != 1:
        return False
    await connection.execute(
        f"update {schema}.data_key set retired = %s where retired is null and ("
        "(purpose = 'data' and number < %s) or (purpose = 'search' and number < "
        f"(select search_key from {schema}.seal_state)))",
        (now, key),
    )
    return True


async def forget_texts(connection: Connection, tenant: str, parameters: Collection[int]) -> None:
    """Remove the texts of some kinds from the vocabulary."""
    await connection.execute(
        f"delete from {schema_name(tenant)}.vocabulary where parameter = any(%s::bigint[])",
        (list(parameters),),
    )


def seal_state(value: Any) -> SealState:
    """The state as `SEAL_STATE` gives it."""
    return SealState(*value)
