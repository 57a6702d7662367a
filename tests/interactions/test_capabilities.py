"""capabilities: the statement says what is registered, and what it says is true."""

from typing import Any

import httpx
import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from fhir_server.interactions.registry import INTERACTIONS
from fhir_server.spec import definitions
from tests.answers import refusal_of, resource_of

# A value that each kind of search takes.
VALUES = {
    "token": "x",
    "reference": "http://example.org/x",
    "string": "x",
    "uri": "http://example.org/x",
    "date": "2020",
    "number": "1",
    "quantity": "1",
}
SPECIAL = {"near": "1|1", "_content": "x", "_text": "x", "_filter": "_id eq x"}
CONTROLS = {
    "_contained": "false",
    "_containedType": "container",
    "_count": "0",
    "_elements": "id",
    "_has": "Observation:subject:code=x",
    "_include": "*",
    "_list": "x",
    "_revinclude": "*",
    "_sort": "_id",
    "_summary": "false",
    "_total": "none",
    "_type": "Patient",
}


def taken(parameter: dict[str, Any]) -> str:
    """A query that asks by a parameter, whatever values its components take."""
    name = parameter["name"]
    if parameter["type"] == "composite":
        return f"{name}:missing=false"
    return f"{name}={SPECIAL.get(name) or VALUES[parameter['type']]}"


@pytest.fixture(scope="module")
async def statement(client: httpx.AsyncClient) -> dict[str, Any]:
    return resource_of(await client.get("metadata"))


def test_the_statement_is_valid(statement: dict[str, Any]) -> None:
    model = CapabilityStatement.model_validate(statement)
    assert model.fhirVersion == "4.0.1"
    assert statement["implementation"]["url"] == "http://test/fhir"


def test_every_interaction_of_the_registry_is_declared(statement: dict[str, Any]) -> None:
    rest = statement["rest"][0]
    expected = {item.code for item in INTERACTIONS if item.code and item.level != "system"}
    for resource in rest["resource"]:
        declared = [item["code"] for item in resource["interaction"]]
        assert len(declared) == len(set(declared))
        assert set(declared) == expected
    system = {item["code"] for item in rest["interaction"]}
    assert system == {"transaction", "batch", "search-system", "history-system"}


def test_every_type_that_can_be_stored_is_declared(statement: dict[str, Any]) -> None:
    declared = [resource["type"] for resource in statement["rest"][0]["resource"]]
    assert declared == sorted(definitions().resource_types)


async def test_every_search_parameter_declared_is_taken(
    client: httpx.AsyncClient, statement: dict[str, Any]
) -> None:
    """Twenty parameters a request, so that 1,400 of them take little time."""
    rest = statement["rest"][0]
    controls = {item["name"] for item in rest["searchParam"] if item["name"] in CONTROLS}
    assert controls == set(CONTROLS)
    places = [("", [item for item in rest["searchParam"] if item["name"] not in CONTROLS])]
    places += [(item["type"], item["searchParam"]) for item in rest["resource"]]
    for place, parameters in places:
        assert {"_id", "_lastUpdated"} <= {item["name"] for item in parameters}
        for start in range(0, len(parameters), 20):
            query = "&".join(map(taken, parameters[start : start + 20]))
            answer = await client.get(f"{place}?_count=0&{query}")
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", sorted(CONTROLS))
async def test_every_control_parameter_declared_is_taken(
    client: httpx.AsyncClient, name: str
) -> None:
    mark = ":" if name == "_has" else "="
    query = f"{name}{mark}{CONTROLS[name]}"
    answer = await client.get(f"Patient?{query}" if name != "_type" else f"?{query}")
    assert answer.status_code == 200, answer.text


async def test_every_include_declared_is_taken(
    client: httpx.AsyncClient, statement: dict[str, Any]
) -> None:
    resources = {item["type"]: item for item in statement["rest"][0]["resource"]}
    assert "Observation:subject" in resources["Observation"]["searchInclude"]
    assert "Observation:subject" in resources["Patient"]["searchRevInclude"]
    for type_, resource in resources.items():
        assert resource["searchInclude"][0] == resource["searchRevInclude"][0] == "*"
        for kind, values in (
            ("_include", resource["searchInclude"]),
            ("_revinclude", resource["searchRevInclude"]),
        ):
            for start in range(0, len(values), 40):
                query = "&".join(f"{kind}={value}" for value in values[start : start + 40])
                answer = await client.get(f"{type_}?_count=0&{query}")
                assert answer.status_code == 200, answer.text


async def test_a_bare_id_is_refused_where_it_could_be_of_any_type(
    client: httpx.AsyncClient, statement: dict[str, Any]
) -> None:
    """Tried as each of no types, it would silently find nothing."""
    targets = {item.url: item.targets for item in definitions().search_parameters}
    refused = 0
    for resource in statement["rest"][0]["resource"]:
        for item in resource["searchParam"]:
            if item["type"] == "reference" and not targets[item["definition"]]:
                answer = await client.get(f"{resource['type']}?{item['name']}=1")
                assert "Type/id" in refusal_of(answer, 400, "invalid")
                refused += 1
    assert refused


async def test_a_summary_of_the_statement_is_smaller_and_says_so(
    client: httpx.AsyncClient, statement: dict[str, Any]
) -> None:
    part = resource_of(await client.get("metadata?_elements=fhirVersion"))
    assert part["fhirVersion"] == "4.0.1"
    assert "rest" not in part


async def test_the_statement_names_the_address_the_client_used(client: httpx.AsyncClient) -> None:
    answer = await client.get("metadata", headers={"Host": "fhir.example.org:8443"})
    assert answer.json()["implementation"]["url"] == "http://fhir.example.org:8443/fhir"
