"""Brings the definitions in a tenant's database up to those that come with the server."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from fhir_server.background.territories import Tenants
from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.indexing.changes import ParameterRefused
from fhir_server.interactions.changes import store_changes
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.rules import Change
from fhir_server.outcome import Refusal
from fhir_server.provisioning.files import (
    CODE,
    SYSTEM,
    Json,
    Provided,
    digest_of,
    tagged,
    told_digest,
)
from fhir_server.search import keys
from fhir_server.security.principal import program
from fhir_server.storage import provided, resources
from fhir_server.storage.provided import Kept
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection

log = logging.getLogger(__name__)

_FIRST_WITHIN = 5.0
_AGAIN_AFTER = 1.0

_Identity = tuple[str, str]


class _Work(NamedTuple):
    """new: what is not there. changed: of another release. gone: provided no more."""

    new: tuple[_Identity, ...]
    changed: tuple[_Identity, ...]
    gone: tuple[_Identity, ...]


class Provisioning:
    """Keeps the tenants' definitions as they are provided.

    What a tenant changed or deleted stays as the tenant made it. What was never changed follows
    the release: a new text takes the place of the old one, and is retired when it is provided no
    more. It is not deleted, so that it can come back.
    """

    def __init__(
        self, engine: Engine, tenants: Tenants, found: Sequence[Provided], base_url: str
    ) -> None:
        self._engine = engine
        self._tenants = tenants
        self._provided = {each.identity: each for each in found}
        self._base_url = base_url
        types = engine.definitions.resource_types
        tag = keys.token_in_system(SYSTEM, CODE)
        self._keys = [keys.key(keys.parameter_name(type_, "_tag"), tag) for type_ in types]
        self._done: set[str] = set()

    async def start(self) -> None:
        """See to all tenants, unless the database lets us wait."""
        try:
            async with asyncio.timeout(_FIRST_WITHIN):
                await self._look()
        except TimeoutError:
            log.warning("the database does not answer yet")

    async def run(self) -> None:
        """See to those that are left, and to those that are added, until cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_AFTER)
            await self._look()

    async def forget(self, tenant: str) -> None:
        """Keep nothing of a tenant that is not served any more."""
        self._done.discard(tenant)

    async def _look(self) -> None:
        try:
            for tenant in self._tenants():
                # One that was just added has no index yet.
                if tenant not in self._done and tenant in self._engine.indexes:
                    await self._provide(tenant)
                    self._done.add(tenant)
        except (Refusal, psycopg.Error, OSError) as error:
            log.warning("the definitions cannot be stored: %s", error)

    async def _provide(self, tenant: str) -> None:
        ctx = Context(tenant=tenant, principal=program("server"), base_url=self._base_url).at_once()
        async with self._engine.store.connection(ctx.tenant) as connection:
            if not any(self._work(await self._kept(connection, tenant))):
                return
            async with connection.transaction():
                await provided.hold(connection, tenant)
                work = self._work(await self._kept(connection, tenant))
                await self._store(ctx, connection, await self._changes(ctx, connection, work))
            await self._engine.indexes.reload(connection, tenant)

    async def _kept(self, connection: Connection, tenant: str) -> list[Kept]:
        return await provided.kept(connection, tenant, self._provided.keys(), self._keys, SYSTEM)

    def _work(self, found: Sequence[Kept]) -> _Work:
        standing = {(each.type, each.id): each for each in found}
        new = [identity for identity in self._provided if identity not in standing]
        changed = [
            identity
            for identity, each in self._provided.items()
            if identity in standing
            and not standing[identity].deleted
            and standing[identity].tagged != each.digest
        ]
        gone = standing.keys() - self._provided.keys()
        return _Work(tuple(new), tuple(changed), tuple(sorted(gone)))

    async def _changes(self, ctx: Context, connection: Connection, work: _Work) -> list[Change]:
        """What is to be stored; what a tenant made its own is left out, and logged."""
        statements = self._engine.statements(ctx)
        names = (*work.changed, *work.gone)
        standing = await resources.lock_current(connection, statements, names)
        changes = [
            Change(*identity, None, self._provided[identity].resource, "PUT")
            for identity in work.new
        ]
        for identity in names:
            old = standing[identity]
            untouched = _untouched(old)
            mine = self._provided.get(identity)
            if untouched:
                new = mine.resource if mine else tagged(untouched | {"status": "retired"})
                changes.append(Change(*identity, old, new, "PUT"))
            elif mine:
                log.info("%s/%s was changed here and stays as it is", *identity)
        return changes

    async def _store(self, ctx: Context, connection: Connection, changes: list[Change]) -> None:
        """Store changes, without those search parameters that have no place beside the others."""
        while changes:
            try:
                async with connection.transaction():
                    await store_changes(self._engine, ctx, connection, changes)
                break
            except ParameterRefused as refusal:
                refused = {each.reference: each for each in changes}.get(refusal.source)
                if refused is None:
                    raise
                url = (refused.new or {}).get("url")
                log.error("%s, %s, has no effect: %s", refusal.source, url, refusal)
                changes = [each for each in changes if each is not refused]
        if changes:
            log.info("the definitions are up to date", extra={"changed": len(changes)})


def _untouched(old: Stored) -> Json | None:
    """A resource that still is as a release of the server stored it."""
    if old.content is None:
        return None
    resource: Json = decode(old.content)
    told = told_digest(resource)
    return resource if told and told == digest_of(resource) else None
