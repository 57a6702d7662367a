"""One run of `fhir-server keys`, on the database itself."""

import argparse
import asyncio
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import psycopg

from fhir_server.command_database import command_database
from fhir_server.indexing.progress import RESEAL, resealing_of
from fhir_server.indexing.rotation import rotate
from fhir_server.outcome import Refusal
from fhir_server.sealing.master import KeyProblem, create_key_file, read_master
from fhir_server.sealing.settings import read_sealing
from fhir_server.sealing.tenants import Seals, rewrap
from fhir_server.settings import Settings
from fhir_server.storage import index_state, jobs, keys, tenants
from fhir_server.storage.embedded import DirectoryInUse
from fhir_server.storage.store import PooledStore


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """0 when it is done, 1 when it cannot be."""
    try:
        if arguments.action == "create":
            create_key_file(arguments.file)
            return 0
        with command_database(settings) as url:
            asyncio.run(_run(arguments, settings, url))
    except (ValueError, OSError, KeyProblem, Refusal, DirectoryInUse, psycopg.Error) as error:
        sys.stderr.write(f"fhir-server keys: {error}\n")
        return 1
    return 0


async def _run(arguments: argparse.Namespace, settings: Settings, url: str) -> None:
    store = PooledStore(url, size=2)
    await store.open()
    try:
        for tenant in await _tenants(store, arguments.tenant):
            if arguments.action == "move":
                told = await _move(store, tenant, settings.seal_keys, arguments.to)
                sys.stdout.write(f"{tenant}\t{told}\n")
            elif arguments.action == "rotate":
                seals = Seals(store, *read_sealing(settings.seal_elements, settings.seal_keys))
                async with store.connection(tenant) as connection:
                    told = await rotate(
                        connection, tenant, seals, datetime.now(UTC), search=arguments.search
                    )
                sys.stdout.write(f"{tenant}\t{told}\n")
            else:
                _write(await _status(store, tenant))
    finally:
        await store.close()


async def _move(store: PooledStore, tenant: str, source: str | None, to: str) -> str:
    if source is None:
        raise KeyProblem("seal_keys has to name what wraps the keys now")
    old, new = read_master(source), read_master(to)
    async with store.transaction(tenant) as connection:
        await index_state.lock(connection, tenant)
        count = await rewrap(connection, tenant, old, new)
    return f"{count} keys are wrapped by {new.name} now"


async def _tenants(store: PooledStore, named: str | None) -> list[str]:
    if named is not None:
        return [named]
    async with store.server() as connection:
        return await tenants.served(connection)


async def _status(store: PooledStore, tenant: str) -> list[tuple[str, ...]]:
    async with store.connection(tenant) as connection:
        state = (await index_state.load(connection, tenant)).sealing
        held = await keys.held_keys(connection, tenant)
        progress = resealing_of(await jobs.unfinished(connection, tenant, RESEAL))
    told = state.state
    if state.state != keys.READY:
        told += f": {progress.describe(state.generation)}"
    count = sum(map(len, state.elements.values()))
    rows: list[tuple[str, ...]] = [
        (tenant, told, f"{count} elements of {len(state.elements)} types")
    ]
    for key in held:
        use = "retired" if key.retired else "in use"
        if key.used_from > datetime.now(UTC):
            use = f"from {key.used_from:%Y-%m-%dT%H:%M:%SZ}"
        made = f"made {key.created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        rows.append((tenant, f"key {key.number}", key.purpose, use, made, f"by {key.master}"))
    return rows


def _write(rows: Iterable[tuple[str, ...]]) -> None:
    for row in rows:
        sys.stdout.write("\t".join(row) + "\n")
