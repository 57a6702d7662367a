"""The rules of orders, as each tenant wants them."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.rules import Change
from fhir_server.storage.store import Connection
from fhir_server.workflow.rules import OrderRules
from fhir_server.workflow.settings import OrderSettings
from fhir_server.workflow.states import Workflow


class TenantRules(OrderRules):
    """What is the same for all tenants is said by itself; the rest by the rules of the tenant.

    settings_of: what a tenant decides about its orders.
    """

    def __init__(self, settings_of: Callable[[str], OrderSettings], workflow: Workflow) -> None:
        super().__init__(settings_of("default"), workflow)
        self._of = cache(lambda tenant: OrderRules(settings_of(tenant), workflow))

    async def prepare(
        self, engine: Engine, ctx: Context, created: Sequence[dict[str, Any]]
    ) -> None:
        """Take further numbers for new orders, if this process has too few."""
        await self._of(ctx.tenant).prepare(engine, ctx, created)

    async def apply(
        self,
        engine: Engine,
        ctx: Context,
        connection: Connection,
        changes: Sequence[Change],
        others: Sequence[Change] = (),
    ) -> Sequence[Change]:
        """The changes with what follows from them. Raises `Refusal`."""
        return await self._of(ctx.tenant).apply(engine, ctx, connection, changes, others)
