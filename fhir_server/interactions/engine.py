"""The wired parts that every interaction uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fhir_server.audit.trail import NO_AUDIT, Audit
from fhir_server.context import Context
from fhir_server.indexing.indexes import Indexes
from fhir_server.interactions.concealing import concealing
from fhir_server.interactions.routing import Router
from fhir_server.interactions.rules import NoRules, Rules
from fhir_server.interactions.sight import sight_of
from fhir_server.outcome import Issue, Unavailable
from fhir_server.search.conditions import Circumstances
from fhir_server.search.index import SearchIndex
from fhir_server.search.settle import Settling
from fhir_server.search.statistics import Statistics
from fhir_server.spec import Definitions
from fhir_server.storage.statements import Statements
from fhir_server.storage.store import BoundStore, Connection, Store
from fhir_server.terminology import Terminology
from fhir_server.validation.profiles.validator import Invariants
from fhir_server.validation.stored import Validation
from fhir_server.validation.structure import StructureCheck


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one request may ask for.

    bundle_entries: entries of a batch or transaction.
    page, largest_page: resources of a page by default, and at most.
    included: resources that a page includes beside its matches, at most.
    test_hosts: `host` or `host:port` of other servers that TestScripts may test from here.
    test_seconds: after which a run of a TestScript is stopped.
    """

    bundle_entries: int = 5000
    page: int = 20
    largest_page: int = 1000
    included: int = 1000
    test_hosts: tuple[str, ...] = ()
    test_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Demands:
    """What a resource must be to be written, beside being built as R4 defines its type.

    invariants: R4's own; None where they are not demanded.
    profiles: canonicals that every resource of a type must conform to.
    claimed: whether a resource must conform to those profiles it claims that are known here.
    supported: by type, canonicals of profiles that come with the server.
    """

    invariants: Invariants | None = None
    profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    claimed: bool = True
    supported: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """What interactions need; made once a process by the composition root.

    oauth: where tokens are had, by what SMART calls the places; None where nobody needs one.
    cross_origin: whether pages of other origins may ask (CORS).
    """

    store: Store
    definitions: Definitions
    structure: StructureCheck
    indexes: Indexes
    where: Circumstances
    limits: Limits
    router: Router
    terminology: Terminology
    validation: Validation
    demands: Demands = field(default_factory=Demands)
    rules: Rules = field(default_factory=NoRules)
    statistics: Statistics = field(default_factory=Statistics)
    oauth: Mapping[str, str] | None = None
    cross_origin: bool = False
    audit: Audit = NO_AUDIT

    def statements(self, ctx: Context) -> Statements:
        """The SQL of the context's tenant."""
        return self.store.statements(ctx.tenant)

    def index(self, ctx: Context) -> SearchIndex:
        """The search parameters of the context's tenant, and how they are extracted."""
        return self.indexes.of(ctx.tenant)

    def searchable(self, ctx: Context) -> SearchIndex:
        """The same, for searching. Raises `Unavailable` while what is stored is read again."""
        index = self.index(ctx)
        if index.incomplete:
            raise Unavailable(Issue("transient", index.incomplete), headers={"Retry-After": "5"})
        return concealing(index, ctx.access)

    def settling(self, ctx: Context, connection: Connection) -> Settling:
        """Where a search of the context's tenant is carried out."""
        schema = self.statements(ctx).schema
        terminology = self.terminology.of(ctx, BoundStore(self.store, connection))
        return Settling(
            connection,
            schema,
            terminology,
            self.statistics,
            seal=self.statements(ctx).seal,
            visible=sight_of(self, ctx),
        )

    def circumstances(self, ctx: Context) -> Circumstances:
        """What search values mean to the client of this interaction."""
        return replace(self.where, seen_as=ctx.base_url, now=ctx.now())

    def within(self, connection: Connection) -> "Engine":
        """The same engine with every interaction inside `connection`'s transaction."""
        return replace(self, store=BoundStore(self.store, connection))
