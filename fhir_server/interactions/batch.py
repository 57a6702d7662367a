"""batch, and the choice between batch and transaction (R4 http.html#transaction)."""

import asyncio
import logging
from itertools import groupby
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.entries import (
    METHODS,
    Entry,
    answer,
    bundle_entries,
    fill,
    read_entry,
    refused,
)
from fhir_server.interactions.performing import perform
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.transaction import transaction
from fhir_server.outcome import Invalid, Issue, Refusal, failure

log = logging.getLogger(__name__)

# Entries of one kind are independent of each other, so a few of them wait for the disk together.
TOGETHER = 8


async def batch_or_transaction(engine: Engine, ctx: Context, request: Request) -> Result:
    """Carry out a Bundle: each entry for itself, or all of them or none."""
    bundle = request.resource
    entries = bundle_entries(engine, bundle)
    if bundle["type"] == "transaction":
        answers = await transaction(engine, ctx, request, entries)
    else:
        answers = await _batch(engine, ctx, request, entries)
    response: dict[str, Any] = {
        "resourceType": "Bundle",
        "id": ctx.new_id(),
        "type": bundle["type"] + "-response",
        "link": [{"relation": "self", "url": ctx.base_url}],
    }
    if answers:
        response["entry"] = answers
    return Result(200, encode(response))


async def _batch(
    engine: Engine, ctx: Context, request: Request, raw_entries: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = [{}] * len(raw_entries)
    entries = []
    for index, raw_entry in enumerate(raw_entries):
        try:
            entries.append(read_entry(ctx, index, raw_entry))
        except Refusal as refusal:
            answers[index] = refused(refusal)
    own = {entry.full_url for entry in entries if entry.full_url.startswith("urn:")}

    async def carry_out(entry: Entry) -> None:
        async with together:
            try:
                result = await _one(engine, ctx, request, entry, own)
                answers[entry.index] = answer(ctx, result, entry.method, request.prefer)
            except Refusal as refusal:
                answers[entry.index] = refused(refusal)
            except Exception:
                # Other entries are stored already, so their answers must reach the client.
                log.exception("entry %d of request %s failed", entry.index, ctx.request_id)
                answers[entry.index] = refused(failure(ctx.request_id))

    together = asyncio.Semaphore(TOGETHER)
    entries.sort(key=lambda entry: (METHODS.index(entry.method), entry.index))
    for _, group in groupby(entries, key=lambda entry: entry.method):
        async with asyncio.TaskGroup() as tasks:
            for entry in group:
                tasks.create_task(carry_out(entry))
    return answers


async def _one(engine: Engine, ctx: Context, outer: Request, entry: Entry, own: set[str]) -> Result:
    definition, request = engine.router.route(entry.method, entry.segments)
    if definition.name == "batch":
        raise Invalid(Issue("not-supported", "A batch cannot hold another one", entry.place))
    fill(request, entry, outer.prefer)
    if entry.resource is not None:
        _check_independent(engine, entry, own)
    return await perform(engine, ctx, definition, request)


def _check_independent(engine: Engine, entry: Entry, own: set[str]) -> None:
    """Raises `Invalid` for a reference to another entry, which only a transaction can settle."""
    links = engine.structure.check(entry.resource).references if own else []
    for item in links:
        if item["reference"] in own:
            text = f"{item['reference']} is another entry of this batch; use a transaction"
            raise Invalid(Issue("invalid", text, f"{entry.place}.resource"))
