"""REF-1 to REF-3: the catalogues as clients list and look them up, and as tenants extend them."""

import json
from typing import Any

import httpx
import pytest

from fhir_server.packaged import folder
from tests.profiles.given import BASE, broken_rules, provided

MODALITIES = {
    "XRAY": {"CR", "DX"},
    "CT": {"CT"},
    "MRI": {"MR"},
    "US": {"US"},
    "MG": {"MG"},
    "FL": {"RF"},
}
PARTS = [
    "CHEST",
    "ABDOMEN",
    "HEAD",
    "SPINE",
    "EXTREMITY",
    "PELVIS",
    "NECK",
    "BREAST",
    "HEART",
    "JOINTS",
]
TESTS = ["CBC", "BMP", "LFT", "RFT", "LIPID", "HBA1C", "TSH", "URINE", "CULTURE", "PT_INR"]
PROCEDURES = ["45378", "43239", "38220", "10060", "11100"]


async def expanded(client: httpx.AsyncClient, name: str, **more: Any) -> list[str]:
    answer = await client.get("ValueSet/$expand", params={"url": f"{BASE}/ValueSet/{name}"} | more)
    assert answer.status_code == 200, answer.text
    return [each["code"] for each in answer.json()["expansion"].get("contains", ())]


async def looked_up(client: httpx.AsyncClient, system: str, code: str) -> dict[str, list[Any]]:
    """The properties of a code by name."""
    answer = await client.get(
        "CodeSystem/$lookup", params={"system": f"{BASE}/CodeSystem/{system}", "code": code}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, list[Any]] = {}
    for each in answer.json()["parameter"]:
        if each["name"] == "property":
            name, value = each["part"]
            found.setdefault(name["valueCode"], []).append(
                next(item for key, item in value.items() if key != "name")
            )
    return found


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("modality", list(MODALITIES)),
        ("body-part", PARTS),
        ("laboratory-catalogue", TESTS),
        ("procedure-catalogue", PROCEDURES),
        ("order-type", ["imaging", "laboratory", "procedure"]),
        ("result-status", ["normal", "abnormal", "critical"]),
    ],
)
async def test_a_catalogue_is_listed(
    client: httpx.AsyncClient, name: str, codes: list[str]
) -> None:
    assert await expanded(client, name) == codes
    assert await expanded(client, name, count=2) == codes[:2]


async def test_a_catalogue_is_listed_by_text(client: httpx.AsyncClient) -> None:
    assert await expanded(client, "laboratory-catalogue", filter="panel") == ["BMP", "LIPID"]
    assert await expanded(client, "procedure-catalogue", filter="biopsy") == ["43239", "11100"]


@pytest.mark.parametrize("code", MODALITIES)
async def test_a_modality_has_its_dicom_codes(client: httpx.AsyncClient, code: str) -> None:
    found = await looked_up(client, "modality", code)
    assert {each["code"] for each in found["dicom"]} == MODALITIES[code]
    assert found["snomed"][0]["system"] == "http://snomed.info/sct"


@pytest.mark.parametrize("code", PARTS)
async def test_a_body_part_has_modalities_and_snomed(client: httpx.AsyncClient, code: str) -> None:
    found = await looked_up(client, "body-part", code)
    assert set(found["modality"]) <= MODALITIES.keys()
    assert found["snomed"][0]["code"].isdigit()
    for modality in found["modality"]:
        assert code in await expanded(client, f"body-part-{modality.lower()}")


@pytest.mark.parametrize("code", TESTS)
async def test_a_laboratory_test_has_its_properties(client: httpx.AsyncClient, code: str) -> None:
    found = await looked_up(client, "laboratory-catalogue", code)
    assert found["category"]
    assert found["specimen"][0]["system"].endswith("v2-0487")
    assert found["fasting"] in ([True], [False])
    assert found["turnaround-hours"][0] > 0
    assert found["loinc"][0]["system"] == "http://loinc.org"
    assert found["member"]
    for member in [*found["member"], *found["loinc"]]:
        digits = member["code"].replace("-", "")
        assert _luhn(digits), member


def _luhn(digits: str) -> bool:
    """Whether the last digit of a LOINC code is the check digit of the others."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 else 1)
        total += number // 10 + number % 10
    return total % 10 == 0


@pytest.mark.parametrize("code", PROCEDURES)
async def test_a_procedure_has_its_properties(client: httpx.AsyncClient, code: str) -> None:
    found = await looked_up(client, "procedure-catalogue", code)
    assert found["category"]
    assert found["consent"] in ([True], [False])
    assert found["minutes"][0] > 0


async def test_what_is_no_longer_in_use_is_not_offered_and_may_not_be_ordered(
    client: httpx.AsyncClient,
) -> None:
    catalogue = (await client.get("CodeSystem/laboratory-catalogue")).json()
    status = {"code": "status", "valueCode": "retired"}
    catalogue["concept"] += [
        {"code": "D_DIMER", "display": "D-dimer"},
        {"code": "ESR", "display": "Erythrocyte sedimentation rate", "property": [status]},
    ]
    catalogue["count"] += 2
    stored = await client.put("CodeSystem/laboratory-catalogue", json=catalogue)
    assert stored.status_code == 200, stored.text
    assert await expanded(client, "laboratory-catalogue") == [*TESTS, "D_DIMER"]
    for code, valid in (("D_DIMER", True), ("ESR", False), ("UNICORN", False)):
        params = {
            "url": f"{BASE}/ValueSet/laboratory-catalogue",
            "system": f"{BASE}/CodeSystem/laboratory-catalogue",
            "code": code,
        }
        answer = (await client.get("ValueSet/$validate-code", params=params)).json()
        result = next(each for each in answer["parameter"] if each["name"] == "result")
        assert result["valueBoolean"] is valid, code


async def test_a_tenant_adds_a_modality_without_code(client: httpx.AsyncClient) -> None:
    modality = (await client.get("CodeSystem/modality")).json()
    modality["concept"].append({"code": "PET", "display": "Positron emission tomography"})
    modality["count"] += 1
    parts = (await client.get("CodeSystem/body-part")).json()
    head = next(each for each in parts["concept"] if each["code"] == "HEAD")
    head["property"].append({"code": "modality", "valueCode": "PET"})
    assert (await client.put("CodeSystem/modality", json=modality)).status_code == 200
    assert (await client.put("CodeSystem/body-part", json=parts)).status_code == 200
    applying = (await client.get("ValueSet/body-part-ct")).json() | {
        "id": "body-part-pet",
        "url": f"{BASE}/ValueSet/body-part-pet",
    }
    applying["compose"]["include"][0]["filter"][0]["value"] = "PET"
    assert (await client.put("ValueSet/body-part-pet", json=applying)).status_code == 201
    assert "PET" in await expanded(client, "modality")
    assert await expanded(client, "body-part-pet") == ["HEAD"]


async def test_each_entry_of_a_catalogue_can_be_ordered_by_its_activity() -> None:
    activities = [each for (type_, _), each in provided().items() if type_ == "ActivityDefinition"]
    named = {coding["code"] for each in activities for coding in each["code"]["coding"]}
    assert named >= {*MODALITIES, *TESTS, *PROCEDURES}
    for each in activities:
        profile = each["profile"].rpartition("/")[2]
        assert ("StructureDefinition", profile) in provided()
        if "imaging" in profile:
            continue
        category = {
            "coding": [{"system": f"{BASE}/CodeSystem/order-type", "code": profile.split("-")[0]}]
        }
        order = {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": each["intent"],
            "priority": each["priority"],
            "category": [category],
            "code": each["code"],
            "subject": {"reference": "Patient/p"},
            "encounter": {"reference": "Encounter/e"},
            "requester": {"reference": "Practitioner/d"},
            "reasonCode": [{"text": "Cough for three weeks"}],
        }
        assert await broken_rules(order, profile) == set(), each["id"]


def _codes(name: str) -> set[str]:
    return {each["code"] for each in provided()["CodeSystem", name]["concept"]}


def test_states_steps_and_roles_are_those_of_the_workflow() -> None:
    tables = {
        path.stem: json.loads(path.read_text())
        for path in (folder("profiles") / "workflow").glob("*.json")
    }
    assert _codes("order-status") == {each["code"] for each in tables["states"]["states"]}
    steps = {
        step["name"]
        for name in ("imaging", "laboratory", "procedure")
        for step in tables[name]["steps"]
    }
    assert _codes("order-step") >= steps
    system = f"{BASE}/CodeSystem/role"
    known = {each["code"] for each in tables["roles"]["codes"] if each["system"] == system}
    assert _codes("role") == known
