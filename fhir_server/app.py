"""The composition root: reads the settings and wires the parts of one server process."""

import gc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from fhir_server.audit.entering import NotedGate
from fhir_server.audit.keeping import Trail
from fhir_server.audit.trail import NO_AUDIT, Audit
from fhir_server.background.runner import Runner
from fhir_server.background.tasks import Loop, running
from fhir_server.background.territories import Tenants, Territories
from fhir_server.background.upkeep import Upkeep
from fhir_server.background.work import Kind
from fhir_server.conformance.in_process import InProcess
from fhir_server.http.cors import crossing
from fhir_server.http.fhir import FhirApplication, HttpSettings
from fhir_server.http.guessing import slowed
from fhir_server.http.naming import named, names_of
from fhir_server.http.pages import Application, Beside, Life
from fhir_server.http.proxies import behind, read_networks
from fhir_server.indexing.changes import REINDEX
from fhir_server.indexing.indexes import Indexes
from fhir_server.indexing.keeper import Keeper
from fhir_server.indexing.progress import RESEAL
from fhir_server.indexing.reindex import Reindexing
from fhir_server.indexing.resealing import Resealer
from fhir_server.interactions.engine import Demands, Engine, Limits
from fhir_server.interactions.registry import INTERACTIONS
from fhir_server.interactions.routing import Router
from fhir_server.interactions.rules import Rules
from fhir_server.logs import configure_logs
from fhir_server.operations.registry import operation_routes
from fhir_server.operations.script_run import SCRIPT_RUN
from fhir_server.operations.script_runs import ScriptRuns
from fhir_server.packaged import folder
from fhir_server.parts import doors, images, messaging, modalities, order_settings
from fhir_server.places import FHIR_PATH, local_base_url
from fhir_server.provisioning.files import (
    Provided,
    profiles_by_type,
    read_provided,
    structure_definitions,
)
from fhir_server.provisioning.provision import Provisioning
from fhir_server.sealing.settings import read_sealing
from fhir_server.sealing.tenants import Seals
from fhir_server.search.canonicals import StoredAndShipped
from fhir_server.search.conditions import Circumstances
from fhir_server.search.extract import Extractor
from fhir_server.security.gate import Gate, OpenGate, TokenGate
from fhir_server.security.limiting import Buckets, LimitingGate
from fhir_server.security.policy import Policy
from fhir_server.settings import Settings
from fhir_server.spec import definitions
from fhir_server.storage.listen import Listener
from fhir_server.storage.store import PooledStore
from fhir_server.tenant_settings import TenantSettings
from fhir_server.terminology import Terminology
from fhir_server.transport import is_loopback
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.validator import Invariants
from fhir_server.validation.stored import Validation
from fhir_server.validation.structure import StructureCheck
from fhir_server.workers import end_with_parent, tell_ready
from fhir_server.workflow.of_tenants import TenantRules
from fhir_server.workflow.states import workflow

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.types import ASGIApp

    from fhir_server.dicom.archives import Archives
    from fhir_server.identity.service import Identities

# Where other machines reach the server, and nothing else is set.
_REQUESTS_PER_SECOND = 200.0
_SECONDS_AT_ONCE = 10
# Where users and programs prove who they are, and the status that tells that they did.
GUESSED_AT = {
    "/auth/login": 303,
    "/auth/token": 200,
    "/auth/introspect": 200,
    "/auth/revoke": 200,
    "/auth/userinfo": 200,
}
SMART_CONFIGURATION = "/.well-known/smart-configuration"


def build(
    settings: Settings,
    database_url: str,
    definition_folders: Sequence[Path] | None = None,
    gate: Gate | None = None,
) -> Application:
    """The application of one process, on a migrated database.

    definition_folders: where the definitions are that every tenant gets; by default what comes
        with the server, and the folder that the settings name.
    gate: decides who comes in, in place of what the settings say.
    """
    own = definition_folders is None and settings.profiles_dir is None
    if definition_folders is None:
        further = settings.profiles_dir
        definition_folders = (folder("profiles"), *((further,) if further else ()))
    facts = definitions()
    base_url = local_base_url(settings)
    store = PooledStore(
        database_url,
        size=settings.database_pool,
        statement_timeout=settings.statement_timeout,
    )
    listener = Listener(database_url)
    indexes = Indexes(
        partial(Extractor, base_url=base_url, zone=ZoneInfo(settings.time_zone)),
        Seals(store, *read_sealing(settings.seal_elements, settings.seal_keys)),
    )
    territories = Territories(store, listener, indexes)
    of_tenants = TenantSettings(settings)
    trail = _trail(settings, store, territories)
    structure = StructureCheck(facts)
    provided = read_provided(definition_folders, structure, known_good=own)
    rules = TenantRules(lambda tenant: order_settings(of_tenants.of(tenant)), workflow())
    engine = _engine(settings, store, indexes, structure, provided, rules, trail or NO_AUDIT)
    policy = Policy.read(settings.policy_file, facts)
    identities = _identities(settings, engine, policy, database_url, listener)
    if gate is None and identities is not None:
        gate = TokenGate(identities.authenticator, policy, territories)
    http = HttpSettings(
        path=FHIR_PATH,
        base_url=settings.base_url,
        max_body_bytes=settings.max_body_bytes,
        timeout=settings.request_timeout,
        access_log=settings.access_log,
        gate=_limited(gate or OpenGate(territories), settings, trail),
        everybody=gate is None and settings.authentication == "off",
    )
    provisioning = Provisioning(engine, territories, provided, base_url)
    archives = images(of_tenants, engine, listener)
    more = modalities(settings, of_tenants, engine, database_url)
    listening, health = messaging(settings, of_tenants, engine, territories)
    more += listening
    if identities is not None:
        more.append(identities.run)
    if trail is not None:
        more.append(trail.run)
    life = _life(engine, store, territories, provisioning, listener, more, archives)
    routes: list[APIRouter] = []
    if identities is not None:
        routes.append(identities.routes)
    if archives is not None:
        routes += archives.routes
        routes += doors(settings, of_tenants, engine, archives, http.gate)
        health.append(archives.health)
    health.append(territories.health)
    below = () if identities is None else (FHIR_PATH + SMART_CONFIGURATION,)
    return Application(engine, http, life, Beside(routes, health, frozenset(below)))


def _engine(
    settings: Settings,
    store: PooledStore,
    indexes: Indexes,
    structure: StructureCheck,
    provided: Sequence[Provided],
    rules: Rules,
    audit: Audit,
) -> Engine:
    """What interactions need."""
    facts = definitions()
    sources = StoredAndShipped()
    terminology = Terminology(sources)
    return Engine(
        store=store,
        definitions=facts,
        structure=structure,
        indexes=indexes,
        where=Circumstances(local_base_url(settings), ZoneInfo(settings.time_zone)),
        limits=Limits(
            settings.max_bundle_entries,
            settings.page_size,
            settings.max_page_size,
            settings.max_included_resources,
            tuple((settings.test_hosts or "").split()),
            settings.test_timeout,
        ),
        router=Router((*INTERACTIONS, *operation_routes(facts)), facts.resource_types),
        terminology=terminology,
        validation=Validation(
            sources, terminology, facts, structure, structure_definitions(provided)
        ),
        demands=Demands(
            Invariants(Profiles(lambda _: None, facts)) if settings.validate_invariants else None,
            settings.enforced_profiles,
            settings.honour_meta_profile,
            profiles_by_type(provided),
        ),
        rules=rules,
        audit=audit,
        oauth=_oauth(settings),
        cross_origin=bool(settings.origins),
    )


def _oauth(settings: Settings) -> Mapping[str, str] | None:
    """Where tokens are had, as the CapabilityStatement tells it."""
    if settings.authentication != "embedded":
        return None if settings.authentication == "off" else {}
    root = local_base_url(settings).removesuffix(FHIR_PATH) + "/auth"
    return {
        name: f"{root}/{path}"
        for name, path in (
            ("authorize", "authorize"),
            ("token", "token"),
            ("introspect", "introspect"),
            ("revoke", "revoke"),
        )
    }


def _identities(
    settings: Settings, engine: Engine, policy: Policy, database_url: str, listener: Listener
) -> "Identities | None":
    """What knows who somebody is, unless everybody is the local administrator."""
    if settings.authentication == "off":
        return None
    # Not imported by processes that do without.
    from fhir_server.identity.issuing import Lives, Places
    from fhir_server.identity.picking import FoundPatients
    from fhir_server.identity.service import Embedded, External, IdentitySettings

    base_url = local_base_url(settings)
    found = IdentitySettings(
        Places(base_url, base_url.removesuffix(FHIR_PATH)),
        FHIR_PATH,
        settings.issuers,
        Lives(
            access=timedelta(minutes=settings.access_token_minutes),
            idle=timedelta(minutes=settings.session_minutes),
        ),
    )
    if settings.authentication == "external":
        return External(found)
    patients = FoundPatients(engine, policy, base_url)
    return Embedded(found, database_url, listener, patients, engine.audit)


def _trail(settings: Settings, store: PooledStore, tenants: Tenants) -> Trail | None:
    """The audit trail, if the settings want one."""
    if not settings.audited:
        return None
    return Trail(store, settings.audit_folder, tenants, strict=settings.audit_strict)


def _limited(gate: Gate, settings: Settings, trail: Trail | None) -> Gate:
    """The gate, where those who ask or fail too often have to wait, and who fails is noted."""
    rate = settings.requests_per_second
    if rate is None:
        rate = 0.0 if is_loopback(settings.host) else _REQUESTS_PER_SECOND
    if rate or not isinstance(gate, OpenGate):
        failures = settings.failures_per_minute
        requests = Buckets(rate, rate * _SECONDS_AT_ONCE) if rate else None
        gate = LimitingGate(gate, requests, Buckets(failures / 60, failures))
    # Outermost, so that nobody fills the trail.
    return gate if trail is None else NotedGate(gate, trail)


def _life(
    engine: Engine,
    store: PooledStore,
    territories: Territories,
    provisioning: Provisioning,
    listener: Listener,
    more: Sequence[Loop],
    images: "Archives | None",
) -> Life:
    """What runs beside the requests: the pool, and the tasks that keep index and definitions."""
    keeper = Keeper(store, listener, engine.indexes)
    kinds = {
        REINDEX: Kind(Reindexing(engine.indexes), alone=True),
        RESEAL: Kind(Resealer(engine.indexes), alone=True),
        SCRIPT_RUN: ScriptRuns(engine, partial(_in_process, engine)).kind,
    }
    if images is not None:
        kinds |= images.kinds
        more = [*more, images.run]
    runner = Runner(store, listener, kinds)
    upkeep = Upkeep(store, territories)
    loops = (
        listener.run, territories.run, keeper.run, runner.run, provisioning.run, upkeep.run
    )  # fmt: skip
    for forget in (store.forget, keeper.forget, provisioning.forget):
        territories.when_left(forget)

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        await store.open()
        try:
            await territories.start()
            await keeper.start()
            await provisioning.start()
            async with running(*loops, *more):
                tell_ready()
                yield
        finally:
            if images is not None:
                await images.close()
            if isinstance(engine.audit, Trail):
                await engine.audit.close()
            await store.close()

    return life


def _in_process(engine: Engine, base_url: str) -> InProcess:
    """How a run of a TestScript reaches this server itself."""
    http = HttpSettings(path=FHIR_PATH, base_url=base_url)
    return InProcess(FhirApplication(engine, http), base_url, FHIR_PATH)


def create() -> "ASGIApp":
    """The application of a worker process, from the environment that `serve` prepares."""
    end_with_parent()
    settings = Settings()
    configure_logs(settings)
    assert settings.database_url is not None
    app = build(settings, settings.database_url.get_secret_value())
    _calm_garbage_collector()
    return protected_application(app, settings)


def protected_application(app: "ASGIApp", settings: Settings) -> "ASGIApp":
    """The application as others than its own processes meet it."""
    if settings.authentication == "embedded":
        failures = settings.failures_per_minute
        app = slowed(app, GUESSED_AT, Buckets(failures / 60, failures))
    app = crossing(app, settings.origins)
    if settings.authentication == "off":
        app = named(app, names_of(settings.base_url))
    return behind(app, read_networks(settings.trusted_proxies or ""))


def _calm_garbage_collector() -> None:
    """Collect cycles seldom: resources are trees, which reference counting frees at once.

    With Python's defaults a large Bundle is walked again and again while it is decoded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
