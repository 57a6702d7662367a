"""The study UID that an imaging order has before there are images.

It travels in the worklist, so that a device makes its images under it and they are known by it.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from fhir_server.workflow.numbers import NumberKind
from fhir_server.workflow.orders import Resource, order_type
from fhir_server.workflow.refusals import invalid

# R4 imagingstudy.html: how UIDs of DICOM are identifiers.
SYSTEM = "urn:dicom:uid"
_PREFIX = "urn:oid:"
_LONGEST = 64
_UID = re.compile(r"urn:oid:(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")


class _StudyUids(NumberKind):
    """UIDs as a kind of number, so that each is held by one order."""

    def _is_type_of(self, identifier: Mapping[str, Any]) -> bool:
        return False

    def completed(self, identifier: Resource) -> Resource:
        """Raises `Invalid`, 422, for what is no UID."""
        value = identifier.get("value", "")
        if not _UID.fullmatch(value) or len(value) > len(_PREFIX) + _LONGEST:
            text = f"{value!r} is no study UID: expected {_PREFIX} and a UID of DICOM"
            raise invalid(text, "ServiceRequest.identifier")
        return identifier


STUDY_UID = _StudyUids("study UID", "", "", SYSTEM, "", 0)


def study_uid(order: Mapping[str, Any]) -> str:
    """The study UID of an order; empty if it has none."""
    identifier = STUDY_UID.of(order) or {}
    return str(identifier.get("value", "")).removeprefix(_PREFIX)


def as_value(uid: str) -> str:
    """A UID as the value of an identifier."""
    return _PREFIX + uid


def with_study_uid(order: Resource) -> Resource:
    """An imaging order with a study UID; others, and one that has one, as they are."""
    if order_type(order) != "imaging" or STUDY_UID.of(order) is not None:
        return order
    # DICOM PS3.5 B.2: unique without a registered root.
    identifier = {"system": SYSTEM, "value": as_value(f"2.25.{uuid.uuid4().int}")}
    return STUDY_UID.with_number(order, identifier)
