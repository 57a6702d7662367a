"""The rules of orders, asked by every write of a ServiceRequest, a Task or a result."""

from collections.abc import Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.rules import Change
from fhir_server.storage import resources
from fhir_server.storage.numbers import Blocks
from fhir_server.storage.store import Connection
from fhir_server.workflow.applying import Applying
from fhir_server.workflow.assigning import wanted
from fhir_server.workflow.canonicals import structure_definition
from fhir_server.workflow.orders import order_type, order_types
from fhir_server.workflow.reading import Reader
from fhir_server.workflow.result_writes import RESULTS
from fhir_server.workflow.settings import OrderSettings
from fhir_server.workflow.states import Workflow


class OrderRules:
    """The rules of one process."""

    types = frozenset({"ServiceRequest", "Task", "DiagnosticReport"})

    def __init__(self, settings: OrderSettings, workflow: Workflow) -> None:
        self._settings = settings
        self._workflow = workflow
        self._blocks = Blocks()

    def concern(self, resource: dict[str, Any]) -> bool:
        """Whether a resource is an order, or says that it is a result of one."""
        type_ = resource["resourceType"]
        if type_ == "ServiceRequest":
            return bool(order_types(resource))
        return type_ in RESULTS and any(
            "ServiceRequest/" in each.get("reference", "") for each in resource.get("basedOn", ())
        )

    def stands_alone(self, resource: dict[str, Any]) -> bool:
        """Whether it is an order: those that come with it have ids that nobody has."""
        return bool(resource["resourceType"] == "ServiceRequest")

    def profiles(self, resource: dict[str, Any]) -> tuple[str, ...]:
        """The profile of an order's type."""
        type_ = order_type(resource)
        return (structure_definition(f"{type_}-order"),) if type_ in self._workflow.tables else ()

    async def prepare(
        self, engine: Engine, ctx: Context, created: Sequence[dict[str, Any]]
    ) -> None:
        """Take further numbers for new orders, if this process has too few."""
        numbering = self._settings.numbering
        numbers = wanted(numbering, filter(order_types, created))
        year = numbering.year(ctx.now())
        if not numbers or not self._blocks.lacks(ctx.tenant, year, numbers):
            return
        async with engine.store.connection(ctx.tenant) as connection:
            if resources.commits_at_once(connection):
                await self._blocks.fill(connection, ctx.tenant, year, numbers)

    async def apply(
        self,
        engine: Engine,
        ctx: Context,
        connection: Connection,
        changes: Sequence[Change],
        others: Sequence[Change] = (),
    ) -> Sequence[Change]:
        """The changes with what follows from them. Raises `Refusal`."""
        reader = Reader(engine, ctx, connection)
        applying = Applying(self._settings, self._workflow, self._blocks, reader, changes, others)
        return await applying.run()
