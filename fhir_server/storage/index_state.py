"""What the search index is made with: its generation, its format, the parameters of the tenant."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from fhir_server.storage.keys import SEAL_STATE, SealState, seal_state
from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# States of a parameter: being read in, in use, being read out.
INDEXING, READY, REMOVING = "indexing", "ready", "removing"


@dataclass(frozen=True, slots=True)
class HeldParameter:
    """A search parameter beside those of R4.

    source: `SearchParameter/id`, or the url of one that comes with the server.
    definition: its facts, as JSON.
    redefined: whether workers may still answer by a former definition of its code.
    generation: the first that has this state.
    types: the resource types that are read again for it.
    """

    source: str
    definition: Any
    state: str
    redefined: bool
    generation: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexState:
    """The state of a tenant's search index.

    generation: grows with every change of the parameters.
    format: every entry is of this one, or newer. target: new entries are of this one.
    sealing: what is encrypted at rest.
    """

    generation: int
    format: int
    target: int
    parameters: tuple[HeldParameter, ...]
    sealing: SealState = field(default_factory=SealState)

    @property
    def settled(self) -> bool:
        """Whether every entry is as it should be."""
        states = {parameter.state for parameter in self.parameters}
        return self.format == self.target and states <= {READY}


def channel(tenant: str) -> str:
    """Where changes of the state are told of."""
    return f"{schema_name(tenant)}_index"


async def load(connection: Connection, tenant: str) -> IndexState:
    """The state, all of it as it was at one time."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        "select generation, format, target, (select coalesce(jsonb_agg(jsonb_build_array("
        "source, definition, state, redefined, generation, types) order by source), '[]') "
        f"from {schema}.search_parameter), {SEAL_STATE.replace('{s}', schema)} "
        f"from {schema}.index_state"
    )
    row = await cursor.fetchone()
    assert row is not None
    generation, format_, target, held, sealing = row
    parameters = tuple(
        HeldParameter(source, definition, state, redefined, number, tuple(types))
        for source, definition, state, redefined, number, types in held
    )
    return IndexState(generation, format_, target, parameters, seal_state(sealing))


async def lock(connection: Connection, tenant: str) -> IndexState:
    """The state, which nobody else changes until the transaction ends."""
    schema = schema_name(tenant)
    await connection.execute(f"select from {schema}.index_state for update")
    return await load(connection, tenant)


async def begin_generation(connection: Connection, tenant: str) -> int:
    """Make the next generation, and tell every worker when the transaction commits."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"update {schema}.index_state set generation = generation + 1 returning generation"
    )
    row = await cursor.fetchone()
    assert row is not None
    await tell(connection, tenant)
    return int(row[0])


async def begin_format(connection: Connection, tenant: str, target: int, *, done: bool) -> None:
    """Say what new entries are made in; `done` if there are no old ones."""
    schema = schema_name(tenant)
    await connection.execute(
        f"update {schema}.index_state set target = %(target)s, "
        "format = case when %(done)s then %(target)s else format end",
        {"target": target, "done": done},
    )
    await tell(connection, tenant)


async def tell(connection: Connection, tenant: str) -> None:
    """Make every worker look at the state when the transaction commits."""
    await connection.execute("select pg_notify(%s, '')", (channel(tenant),))


async def keep(connection: Connection, tenant: str, parameters: Iterable[HeldParameter]) -> None:
    """Store parameters by their source, new ones and changed ones."""
    schema = schema_name(tenant)
    for item in parameters:
        row = (
            item.source,
            Jsonb(item.definition),
            item.state,
            item.redefined,
            item.generation,
            list(item.types),
        )
        await connection.execute(
            f"insert into {schema}.search_parameter values (%s, %s, %s, %s, %s, %s) "
            "on conflict (source) do update set definition = excluded.definition, "
            "state = excluded.state, redefined = excluded.redefined, "
            "generation = excluded.generation, types = excluded.types",
            row,
        )


async def finish(connection: Connection, tenant: str, generation: int, target: int | None) -> None:
    """Note that the resources of all parameters up to a generation were read again.

    target: the format that every entry is of now; None if only some types were read.
    """
    schema = schema_name(tenant)
    await connection.execute(f"select from {schema}.index_state for update")
    await connection.execute(
        f"delete from {schema}.search_parameter where state = %s and generation <= %s",
        (REMOVING, generation),
    )
    await connection.execute(
        f"update {schema}.search_parameter set state = %s, redefined = false "
        "where state = %s and generation <= %s",
        (READY, INDEXING, generation),
    )
    await connection.execute(
        f"update {schema}.index_state set format = target where target = %s", (target,)
    )
    await tell(connection, tenant)


async def has_resources(connection: Connection, tenant: str) -> bool:
    """Whether anything was ever stored."""
    schema = schema_name(tenant)
    cursor = await connection.execute(f"select exists (select from {schema}.resource)")
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def stored_of_type(connection: Connection, tenant: str, type_: str) -> list[tuple[str, str]]:
    """Id and JSON of every resource of a type, oldest first."""
    schema = schema_name(tenant)
    cursor = await connection.execute(
        f"select id, coalesce(exact, content::text) from {schema}.resource "
        "where type = %s and content is not null order by rid",
        (type_,),
    )
    return [(str(id_), str(content)) for id_, content in await cursor.fetchall()]
