"""ORD-4: the Specimen that $collect-sample makes."""

from fhir_server.security.principal import ROLES
from fhir_server.workflow.actors import Actor
from fhir_server.workflow.canonicals import structure_definition
from fhir_server.workflow.specimens import collected
from fhir_server.workflow.steps import Asked

AT = "2026-03-01T10:00:00.000Z"
BLOOD, SERUM = {"text": "blood"}, {"text": "serum"}
REQUEST = {
    "resourceType": "ServiceRequest",
    "id": "o",
    "subject": {"reference": "Patient/p"},
    "extension": [
        {"url": structure_definition("order-specimen-type"), "valueCodeableConcept": SERUM}
    ],
}
NURSE = Actor({"reference": "Practitioner/n"}, frozenset({"nurse"}), "n", ROLES)
SOMEBODY = Actor({"display": "somebody"}, ROLES, "somebody", ROLES)


def test_specimen_is_what_the_order_asks_for_unless_told_otherwise() -> None:
    found = collected("s", REQUEST, Asked("collect-sample", {}, NURSE, AT))
    assert found == {
        "resourceType": "Specimen",
        "id": "s",
        "status": "available",
        "subject": {"reference": "Patient/p"},
        "request": [{"reference": "ServiceRequest/o"}],
        "collection": {"collectedDateTime": AT, "collector": {"reference": "Practitioner/n"}},
        "type": SERUM,
    }
    told = collected("s", REQUEST, Asked("collect-sample", {"type": BLOOD}, NURSE, AT))
    assert told["type"] == BLOOD


def test_specimen_has_everything_that_is_told_of_it() -> None:
    given = {
        "time": "2026-03-01T09:00:00Z",
        "collector": {"reference": "PractitionerRole/r"},
        "quantity": {"value": 5, "unit": "mL"},
        "container": {"text": "EDTA"},
        "bodySite": {"text": "left arm"},
        "fasting": {"text": "fasting"},
        "identifier": {"value": "T1"},
        "note": "difficult",
    }
    found = collected("s", REQUEST, Asked("collect-sample", given, SOMEBODY, AT))
    assert found["collection"] == {
        "collectedDateTime": given["time"],
        "collector": given["collector"],
        "quantity": given["quantity"],
        "bodySite": given["bodySite"],
        "fastingStatusCodeableConcept": given["fasting"],
    }
    assert found["container"] == [{"type": given["container"]}]
    assert found["identifier"] == [given["identifier"]]
    assert found["note"] == [{"text": "difficult", "time": AT}]


def test_who_is_just_logged_in_is_no_collector() -> None:
    found = collected("s", REQUEST, Asked("collect-sample", {}, SOMEBODY, AT))
    assert "collector" not in found["collection"]
