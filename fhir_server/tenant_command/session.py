"""One run of `fhir-server tenant`, on the database itself."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from fhir_server.outcome import Refusal
from fhir_server.sealing.settings import read_sealing
from fhir_server.sealing.tenants import Seals
from fhir_server.serve import Urls, database
from fhir_server.settings import Settings
from fhir_server.storage import registry
from fhir_server.storage.embedded import DirectoryInUse, EmbeddedPostgres
from fhir_server.storage.migrate import DEFAULT_TENANT, migrate, migrate_all, schema_name
from fhir_server.storage.roles import LOGIN, own_login
from fhir_server.storage.store import PooledStore
from fhir_server.tenant_command.exporting import destination, export_to

_FAILED = 1
# After so long every process has heard that a tenant leaves.
_HEARD_WITHIN = 2.0


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """0 when it is done, 1 when it cannot be."""
    try:
        if "name" in arguments:
            schema_name(arguments.name)
        with _database(settings) as urls:
            return _ACTIONS[arguments.action](urls, arguments, settings)
    except (ValueError, OSError, Refusal, DirectoryInUse, RuntimeError, psycopg.Error) as error:
        return _failed(arguments, str(error))


@contextmanager
def _database(settings: Settings) -> Iterator[Urls]:
    """The database's URLs: as set, of a server that runs, or of one that runs for this."""
    if settings.database_url is not None:
        with database(settings) as urls:
            migrate_all(urls.owner, urls.server)
            yield urls
        return
    running = EmbeddedPostgres(settings.data_dir).join()
    if running is not None:
        yield Urls(running, make_conninfo(running, user=LOGIN))
        return
    with database(settings) as urls:
        login = own_login(urls.owner)
        migrate_all(urls.owner, login)
        yield Urls(urls.owner, login)


def _add(urls: Urls, given: argparse.Namespace, _: Settings) -> int:
    with psycopg.connect(urls.owner, autocommit=True) as connection:
        known = {each.name: each for each in registry.listed(connection)}
    if given.name in known:
        return _failed(given, f"there is a territory {given.name}, it is {known[given.name].state}")
    migrate(urls.owner, given.name, server_url=urls.server)
    sys.stdout.write(f"{given.name} is there, below /t/{given.name}/fhir\n")
    return 0


def _list(urls: Urls, _given: argparse.Namespace, _: Settings) -> int:
    with psycopg.connect(urls.owner, autocommit=True) as connection:
        for each in registry.listed(connection):
            size = f"{each.bytes / 2**20:.1f} MiB"
            row = (each.name, each.state, f"{each.created:%Y-%m-%d}", size, each.role or "no role")
            sys.stdout.write("\t".join(row) + "\n")
    return 0


def _export(urls: Urls, given: argparse.Namespace, settings: Settings) -> int:
    async def export(folder: Path) -> int:
        store = PooledStore(urls.owner, size=2, statement_timeout=3600)
        await store.open()
        try:
            seals = Seals(store, *read_sealing(settings.seal_elements, settings.seal_keys))
            return await export_to(folder, store, seals, given.name, history=given.history)
        finally:
            await store.close()

    with destination(given.target, given.name, history=given.history) as folder:
        count = asyncio.run(export(folder))
    sys.stdout.write(f"{count} resources in {given.target}\n")
    return 0


def _drop(urls: Urls, given: argparse.Namespace, _: Settings) -> int:
    name = given.name
    if name == DEFAULT_TENANT:
        return _failed(given, "the first territory stays; `tenant export` and an empty database")
    with psycopg.connect(urls.owner, autocommit=True) as connection:
        found = {each.name: each for each in registry.listed(connection)}.get(name)
        if found is None:
            return _failed(given, f"there is no territory {name}")
        text = f"{name}: everything in it, {found.bytes / 2**20:.1f} MiB, with its audit trail"
        if not given.yes:
            return _failed(given, f"{text} would be deleted for ever; say --yes")
        typed = given.confirm or input(f"{text} is deleted for ever. Type its name: ").strip()
        if typed != name:
            return _failed(given, f"that is not {name}: nothing is deleted")
        if registry.leave(connection, name):
            time.sleep(_HEARD_WITHIN)
        registry.drop(connection, name)
    sys.stdout.write(f"{name} is deleted\n")
    return 0


def _failed(given: argparse.Namespace, text: str) -> int:
    sys.stderr.write(f"fhir-server tenant {given.action}: {text}\n")
    return _FAILED


_ACTIONS: dict[str, Callable[[Urls, argparse.Namespace, Settings], int]] = {
    "add": _add,
    "list": _list,
    "export": _export,
    "drop": _drop,
}
