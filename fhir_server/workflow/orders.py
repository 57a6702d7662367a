"""What an order is: a ServiceRequest whose category says what type of order it is."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.workflow.canonicals import ORDER_TYPE, TASK_CODE

Resource = dict[str, Any]
# Type and id.
Identity = tuple[str, str]

# A proposal or a plan asks nobody to do anything yet.
_PLANNED = frozenset({"proposal", "plan"})
_OWN = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[0-9]{1,9})?")


def order_types(resource: Mapping[str, Any]) -> list[str]:
    """The types of order that a ServiceRequest is said to be; none if it is no order."""
    if resource.get("resourceType") != "ServiceRequest" or resource.get("intent") in _PLANNED:
        return []
    return [
        coding.get("code", "")
        for concept in resource.get("category", ())
        for coding in concept.get("coding", ())
        if coding.get("system") == ORDER_TYPE
    ]


def order_type(resource: Mapping[str, Any]) -> str | None:
    """`imaging`, `laboratory` or `procedure`; None for what is no order."""
    return next(iter(order_types(resource)), None)


def task_identity(order_id: str) -> Identity:
    """The Task of an order has the order's id, so that it is found without a search."""
    return "Task", order_id


def is_task_of(task: Mapping[str, Any], order_id: str) -> bool:
    """Whether a Task is the one that fulfils an order."""
    codings = task.get("code", {}).get("coding", ())
    fulfils = any((c.get("system"), c.get("code")) == (TASK_CODE, "fulfill") for c in codings)
    return fulfils and task.get("focus", {}).get("reference") == f"ServiceRequest/{order_id}"


def own(reference: str, bases: Iterable[str]) -> Identity | None:
    """What a reference leads to on this server; None if it leads elsewhere.

    bases: the FHIR base URLs under which this server is known.
    """
    for base in bases:
        reference = reference.removeprefix(f"{base}/")
    match = _OWN.fullmatch(reference)
    return (match[1], match[2]) if match else None
