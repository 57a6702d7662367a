"""Giving new orders their numbers, or keeping those that they came with."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.rules import RuleRefused
from fhir_server.outcome import Conflict, Issue
from fhir_server.storage.numbers import Blocks, Claim, claim
from fhir_server.storage.resources import commits_at_once
from fhir_server.storage.store import Connection
from fhir_server.workflow.canonicals import WORKFLOW_ERROR
from fhir_server.workflow.numbers import Numbering, NumberKind
from fhir_server.workflow.orders import Resource
from fhir_server.workflow.study_uids import STUDY_UID, with_study_uid

# Orders by the reference under which they are stored.
Orders = dict[str, Resource]


def wanted(numbering: Numbering, orders: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many numbers of each counter orders need that come without."""
    lacking = (
        kind.counter for order in orders for kind in numbering.kinds if kind.of(order) is None
    )
    return dict(Counter(lacking))


async def assign(
    numbering: Numbering, blocks: Blocks, ctx: Context, connection: Connection, orders: Orders
) -> list[Claim]:
    """Complete new orders by their numbers, in place.

    Gives the claims that are still to be made, by the statement that stores the orders: all of
    them where each statement commits by itself, else none. Raises `Conflict` for a supplied number
    that another order has. One given out here that somebody supplied before is left out.
    """
    for reference, order in orders.items():
        orders[reference] = with_study_uid(order)
    supplied = [
        (reference, kind)
        for reference, order in orders.items()
        for kind in (*numbering.kinds, STUDY_UID)
        if kind.of(order) is not None
    ]
    for reference, kind in supplied:
        order = orders[reference]
        orders[reference] = kind.with_number(order, kind.completed(kind.of(order) or {}))
    lacking = [
        (reference, kind)
        for reference in orders
        for kind in numbering.kinds
        if (reference, kind) not in supplied
    ]
    while supplied or lacking:
        await _number(numbering, blocks, ctx, connection, orders, lacking)
        claims = [_claim(orders, *each) for each in (*supplied, *lacking)]
        if commits_at_once(connection):
            return claims
        holders = await claim(connection, ctx.tenant, claims)
        _check_own(orders, supplied, holders)
        supplied = []
        lacking = [each for each in lacking if not _held(orders, each, holders)]
    return []


Pair = tuple[str, NumberKind]


async def _number(
    numbering: Numbering,
    blocks: Blocks,
    ctx: Context,
    connection: Connection,
    orders: Orders,
    lacking: Sequence[Pair],
) -> None:
    year = numbering.year(ctx.now())
    for kind in numbering.kinds:
        holders = [reference for reference, each in lacking if each is kind]
        numbers = await blocks.next(connection, ctx.tenant, year, kind.counter, len(holders))
        for reference, number in zip(holders, numbers, strict=True):
            identifier = kind.identifier(kind.text(year, number))
            orders[reference] = kind.with_number(orders[reference], identifier)


def _claim(orders: Orders, reference: str, kind: NumberKind) -> Claim:
    identifier = kind.of(orders[reference]) or {}
    return Claim(identifier["system"], identifier["value"], reference)


def _held(orders: Orders, pair: Pair, holders: Mapping[tuple[str, str], str]) -> bool:
    system, value, reference = _claim(orders, *pair)
    return holders.get((system, value)) == reference


def _check_own(
    orders: Orders, supplied: Sequence[Pair], holders: Mapping[tuple[str, str], str]
) -> None:
    for reference, kind in supplied:
        if not _held(orders, (reference, kind), holders):
            system, value, _ = _claim(orders, reference, kind)
            holder = holders.get((system, value), "another order")
            text = f"The {kind.name} {value!r} of {system} is that of {holder}"
            place, details = "ServiceRequest.identifier", (WORKFLOW_ERROR, "VALIDATION_ERROR")
            issue = Issue("duplicate", text, place, details=details)
            raise RuleRefused(issue, status=Conflict.status, source=reference)
