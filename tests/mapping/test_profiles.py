"""Orders in messages that say what an order has to have conform to the profiles of orders."""

import json

import pytest

from fhir_server.fhir_json import decode, encode
from fhir_server.packaged import folder
from fhir_server.validation_command.checking import Checker
from fhir_server.validation_command.known import Known
from fhir_server.workflow.canonicals import structure_definition
from tests.mapping.messages import PID, PV1, mapped, resource

ORC = "ORC|NW|P1^HIS||||||||||33^ORD^DR^^^^^^&1.2.9&ISO"


def checker(profile: str) -> Checker:
    """Holds a resource against one of our profiles."""
    ours = folder("profiles")
    paths = [*(ours / "structures").glob("*.json"), *(ours / "terminology").glob("*.json")]
    known = Known((), [json.loads(path.read_text(encoding="utf-8")) for path in paths])
    return Checker(known, [structure_definition(profile)])


@pytest.mark.parametrize(
    ("profile", "kind", "obr"),
    [
        (
            "imaging-order",
            "OMI^O23^OMI_O23",
            "OBR|1|P1^HIS||71020^Chest^L|R||||||||Cough for three weeks||^^^CHEST|||||||||RX",
        ),
        (
            "laboratory-order",
            "OML^O21^OML_O21",
            "OBR|1|P1^HIS||58410-2^Blood count^LN|S||||||||Fever since yesterday",
        ),
        (
            "procedure-order",
            "OMG^O19^OMG_O19",
            "OBR|1|P1^HIS||45378^Colonoscopy^C4|R||||||||Bleeding for a week|||||||||||EN",
        ),
    ],
)
async def test_order_conforms_to_its_profile(profile: str, kind: str, obr: str) -> None:
    segments = [PID, PV1, ORC, obr, "SPM|1|S1||BLD^Blood^HL70487"]
    order = decode(encode(resource(mapped(kind, *segments), "ServiceRequest")))
    found = await checker(profile).findings(order)
    assert len(order["code"]["coding"]) <= 2
    assert [each.diagnostics for each in found if each.severity == "error"] == []
