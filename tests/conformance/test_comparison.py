"""The comparisons would notice what they are there to notice."""

from typing import Any

import pytest

from fhir_server.fhir_json import decode
from tests.conformance.examples import same
from tests.conformance.synthea import canonical, identity

_SENT = b"""{"resourceType": "Observation", "id": "1", "meta": {"profile": ["http://p"]},
 "subject": {"reference": "urn:uuid:a"}, "valueQuantity": {"value": 1.00}}"""


def _read(**changes: Any) -> Any:
    return decode(_SENT) | changes


def test_version_and_time_make_no_difference() -> None:
    meta = {"profile": ["http://p"], "versionId": "1", "lastUpdated": "2026-01-01T00:00:00Z"}
    assert same(decode(_SENT), _read(meta=meta))


@pytest.mark.parametrize(
    "changes",
    [
        {"valueQuantity": decode(b'{"value": 1.0}')},
        {"meta": {}},
        {"id": "2"},
        {"status": "final"},
    ],
    ids=["digits", "profile", "id", "element"],
)
def test_any_other_change_is_a_difference(changes: dict[str, Any]) -> None:
    assert not same(decode(_SENT), _read(**changes))


def test_resources_with_references_to_the_same_target_are_equal() -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]}
    sent = canonical(decode(_SENT), {"urn:uuid:a": identity(patient)}.__getitem__)
    stored = _read(id="77", subject={"reference": "Patient/9"})
    assert canonical(stored, {"Patient/9": identity(patient)}.__getitem__) == sent


def test_a_reference_to_another_target_is_a_difference() -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]}
    other = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "2"}]}
    sent = canonical(decode(_SENT), {"urn:uuid:a": identity(patient)}.__getitem__)
    assert canonical(decode(_SENT), {"urn:uuid:a": identity(other)}.__getitem__) != sent
