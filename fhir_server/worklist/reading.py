"""The orders that are scheduled, with everything that a worklist tells of them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.search import execute
from fhir_server.search.query import parse
from fhir_server.storage import resources
from fhir_server.storage.store import Connection
from fhir_server.workflow.canonicals import ORDER_STATUS, ORDER_TYPE
from fhir_server.workflow.orders import own
from fhir_server.worklist.mapping import worklist_mapping

Resource = dict[str, Any]
Identity = tuple[str, str]

MOST_STEPS = 5_000
_PAGE = 1_000
# What a Task and its order name that a worklist tells of, where it may stand.
_NAMED = ("for", "owner", "location", "encounter", "requester")


class TooMany(Exception):
    """A query that finds more than is answered at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What narrows a worklist in the database; the rest is compared afterwards.

    modalities: codes of modalities as they are ordered; None for any.
    since, until: days of which a step begins on one; empty for any.
    changed: an instant since which it changed; empty for any.
    """

    modalities: Sequence[str] | None = None
    since: str = ""
    until: str = ""
    accession: str = ""
    changed: str = ""

    def query(self) -> list[tuple[str, str]]:
        """The search on Task."""
        states = ",".join(f"{ORDER_STATUS}|{state}" for state in worklist_mapping().states)
        found = [("order-type", f"{ORDER_TYPE}|imaging"), ("business-status", states)]
        if self.modalities is not None:
            found.append(("modality", ",".join(self.modalities)))
        if self.since:
            found.append(("scheduled", f"ge{_day(self.since)}"))
        if self.until:
            found.append(("scheduled", f"le{_day(self.until)}"))
        if self.changed:
            found.append(("_lastUpdated", f"ge{self.changed}"))
        if self.accession and not set("\\,|$") & set(self.accession):
            found.append(("focus:ServiceRequest.identifier", self.accession))
        return [*found, ("_sort", "scheduled")]


def _day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


@dataclass(frozen=True, slots=True)
class Found:
    """A step as the database has it: its Task, and what it refers to, all as JSON.

    named: what the Task and its order refer to; `order` is the order itself.
    """

    id: str
    task: bytes
    order: bytes
    named: tuple[bytes, ...]

    @property
    def digest(self) -> int:
        """Changes with anything that the worklist tells of the step."""
        return hash((self.task, self.order, self.named))


async def read_steps(engine: Engine, ctx: Context, wanted: Wanted) -> list[Found]:
    """The steps that may be meant, in the order of their time.

    Raises `TooMany`, and `Refusal` when the database does not answer.
    """
    if wanted.modalities is not None and not wanted.modalities:
        return []
    async with engine.store.connection(ctx.tenant) as connection:
        tasks = await _tasks(engine, ctx, connection, wanted.query())
        orders = await _read(
            engine, ctx, connection, (("ServiceRequest", task["id"]) for task, _ in tasks)
        )
        bases = (ctx.base_url, engine.where.base_url)
        named = [_named(task, bases) for task, _ in tasks]
        more = {each for some in named for each in some}
        known = await _read(engine, ctx, connection, more)
    return [
        Found(
            task["id"],
            content,
            orders["ServiceRequest", task["id"]],
            tuple(known[each] for each in some if each in known),
        )
        for (task, content), some in zip(tasks, named, strict=True)
        if ("ServiceRequest", task["id"]) in orders
    ]


async def _tasks(
    engine: Engine, ctx: Context, connection: Connection, asked: Sequence[tuple[str, str]]
) -> list[tuple[Resource, bytes]]:
    index = engine.searchable(ctx)
    where = engine.circumstances(ctx)
    query = parse(index.parameters, "Task", asked, where, unready=index.unready)
    at = engine.settling(ctx, connection)
    contents: list[bytes] = []
    page = await execute.page(at, query, size=_PAGE)
    contents += [each.content or b"" for each in page.matches]
    while page.more:
        if len(contents) >= MOST_STEPS:
            raise TooMany(f"more than {MOST_STEPS} steps")
        page = await execute.page(at, query, size=_PAGE, after=page.positions[1])
        contents += [each.content or b"" for each in page.matches]
    # Beside the event loop: there may be thousands.
    return await asyncio.to_thread(lambda: [(decode(each), each) for each in contents])


async def _read(
    engine: Engine, ctx: Context, connection: Connection, identities: Iterable[Identity]
) -> Mapping[Identity, bytes]:
    return await resources.read_many(connection, engine.statements(ctx), identities)


def _named(task: Resource, bases: tuple[str, ...]) -> list[Identity]:
    references = (task.get(name, {}).get("reference", "") for name in _NAMED)
    return [found for each in references if (found := own(each, bases)) is not None]
