"""Answers to orders that tell of each order: ORR, ORL, ORG, ORI."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.hl7v2.acknowledgment import Answering, Code, Problem
from fhir_server.hl7v2.message import Message
from fhir_server.hl7v2.order_answer import OrderAnswer, order_answer
from fhir_server.hl7v2.segment import Segment
from fhir_server.interactions.engine import Engine
from fhir_server.mapping.orders import OrderStep
from fhir_server.messaging.order_steps import RESULT, OrderWork
from fhir_server.storage import resources
from fhir_server.storage.store import Connection
from fhir_server.workflow.canonicals import ACCESSION_NUMBER, ORDER_NUMBER
from fhir_server.workflow.recording import state_of

_DETAILS = ("OBR", "RXO", "RQD", "ODS", "ODT")
# HL7 table 0038 by the state of an order.
_STATUSES = {
    "scheduled": "SC", "sample-collected": "IP", "in-progress": "IP", "completed": "CM",
    "reported": "CM", "cancelled": "CA", "rejected": "CA", "on-hold": "HD",
}  # fmt: skip


async def answered(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    message: Message,
    orders: OrderWork,
    answering: Answering,
    problems: Sequence[Problem],
) -> Message:
    """The answer when all orders are done as asked."""
    named = [(type_, id_) for id_ in orders.ids if id_ for type_ in ("ServiceRequest", "Task")]
    rows = await resources.lock_current(connection, engine.statements(ctx), named)
    current = {key: decode(row.content) for key, row in rows.items() if row.content is not None}
    told = []
    pairs = zip(orders.steps, orders.ids, strict=True)
    own = [(step, id_) for step, id_ in pairs if step.control != RESULT]
    for (step, id_), (order, detail) in zip(own, _segments(message), strict=False):
        request = current.get(("ServiceRequest", id_ or ""), {})
        task = current.get(("Task", id_ or ""), {})
        filler = "" if order.raw(3) else _number(request)
        status = _STATUSES.get(state_of(task), "")
        told.append(OrderAnswer(order, step.reply, detail, filler, status))
    return order_answer(message, Code.AA, answering, told, problems)


def refused(
    message: Message,
    code: Code,
    answering: Answering,
    steps: Sequence[OrderStep],
    problems: Sequence[Problem],
) -> Message:
    """The answer when none of the orders is done."""
    reason = problems[0].text if problems else ""
    own = (step for step in steps if step.control != RESULT)
    told = [
        OrderAnswer(order, step.refused, detail, reason=reason)
        for step, (order, detail) in zip(own, _segments(message), strict=False)
    ]
    return order_answer(message, code, answering, told, problems)


def _segments(message: Message) -> Iterator[tuple[Segment, Segment | None]]:
    """Each ORC with the segment that says what is ordered."""
    order: Segment | None = None
    detail: Segment | None = None
    for segment in message.segments:
        if segment.name == "ORC":
            if order is not None:
                yield order, detail
            order, detail = segment, None
        elif segment.name in _DETAILS and order is not None and detail is None:
            detail = segment
    if order is not None:
        yield order, detail


def _number(request: Mapping[str, Any]) -> str:
    """The number under which the order is known here."""
    numbers = {each.get("system"): each.get("value", "") for each in request.get("identifier", ())}
    return str(numbers.get(ORDER_NUMBER) or numbers.get(ACCESSION_NUMBER, ""))
