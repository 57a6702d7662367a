"""Whether definitions have changed: one cheap question in place of looking at all of them.

What is made of definitions is kept as long as the state of their types stays. A state never comes
back, not even when a transaction that made one is rolled back.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.store import Connection

# The types whose writes are told apart by states.
TYPES = frozenset({"CodeSystem", "ConceptMap", "StructureDefinition", "ValueSet"})

# Writers of one type hardly ever meet in one slot, so they do not wait for each other.
_SLOTS = 16

_BUMP = f"""
insert into {{s}}.definition_state (type, slot, state)
select type, mod(pg_backend_pid(), {_SLOTS}), nextval('{{s}}.definition_change')
from unnest(%s::text[]) as type
on conflict (type, slot) do update set state = excluded.state"""

_STATES = """
select type, string_agg(state::text, ' ' order by slot) from {s}.definition_state group by type"""

States = Mapping[str, str]
NONE: States = MappingProxyType({})


async def bump(connection: Connection, tenant: str, types: Collection[str]) -> None:
    """Give each of the types another state, in the transaction that writes resources of them."""
    query = _BUMP.replace("{s}", schema_name(tenant))
    await connection.execute(query, (sorted(types),))


async def states(connection: Connection, tenant: str) -> States:
    """The state of each type of which anything was written."""
    query = _STATES.replace("{s}", schema_name(tenant))
    return dict(await (await connection.execute(query)).fetchall())
