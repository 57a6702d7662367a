"""Giving a tenant new keys: what is stored is encrypted by them in the background."""

from dataclasses import replace
from datetime import datetime

from fhir_server.indexing.startup import enqueue_resealing
from fhir_server.outcome import Conflict, Issue
from fhir_server.sealing.policy import Policy
from fhir_server.sealing.tenants import Seals
from fhir_server.storage import index_state, keys
from fhir_server.storage.keys import CHANGING, DATA, READY, ROTATING, SEARCH
from fhir_server.storage.store import Connection


async def rotate(
    connection: Connection, tenant: str, seals: Seals, now: datetime, *, search: bool = False
) -> str:
    """Make new keys, and see to it that everything is encrypted by them; gives what comes.

    search: keyed hashes get a new key as well. Raises `Conflict` where nothing is encrypted,
    `Unavailable` where the keys there are cannot be had, and `KeyProblem`.
    """
    async with connection.transaction():
        state = (await index_state.lock(connection, tenant)).sealing
        if not state.latest:
            text = "Nothing is encrypted here; seal_elements says what is to be"
            raise Conflict(Issue("business-rule", text))
        # Keys wrapped by another master key would lock everybody out.
        await seals.adopt(connection, tenant, state)
        number = await seals.new_key(connection, tenant, DATA, now)
        told = f"key {number} encrypts soon"
        if state.state == READY:
            state = replace(state, state=ROTATING)
        if search:
            made = await seals.new_key(connection, tenant, SEARCH, now, used_from=now)
            told += f", key {made} makes keyed hashes"
            former = Policy(state.elements) | Policy(state.former)
            state = replace(
                state,
                former=former.elements,
                state=CHANGING,
                search_key=made,
                generation=await index_state.begin_generation(connection, tenant),
            )
        await keys.change(connection, tenant, state)
        await enqueue_resealing(connection, tenant, now)
        await index_state.tell(connection, tenant)
    return told
