"""SearchParameters that cannot be used are refused, with what is wrong and where."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.indexing.workers import index_status, parameter, searchable, workers

R4 = "http://hl7.org/fhir/SearchParameter/"


@pytest.fixture(scope="module")
async def one(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A worker."""
    async with workers(database) as (client,):
        yield client


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("a code with a colon", {"code": "a:b"}, "code", "'a:b'"),
    ("a reserved code", {"code": "_mine"}, "code", "'_mine'"),
    ("a reserved code of R4", {"code": "_id"}, "code", "Resource-id"),
    ("a reserved code without an expression", {"code": "_text"}, "code", "'_text'"),
    ("a code with a rule of its own", {"code": "near"}, "code", "'near'"),
    ("a special parameter", {"type": "special"}, "type", "special"),
    ("another usage", {"xpathUsage": "phonetic"}, "xpathUsage", "phonetic"),
    ("no expression", {"expression": None}, "expression", "FHIRPath"),
    ("an expression that ends", {"expression": "Patient.name."}, "expression", "column"),
    ("an unknown element", {"expression": "Patient.shoes"}, "expression", "'shoes'"),
    ("an expression of another type", {"expression": "Basic.code"}, "expression", "find nothing"),
    ("an unknown function", {"expression": "Patient.name.sing()"}, "expression", "sing"),
    ("values of the wrong type", {"expression": "Patient.birthDate"}, "expression", "date"),
    (
        "a value too long",
        {"expression": "Patient.id" + " | Patient.id" * 400},
        "expression",
        "most",
    ),
    ("a base without a value", {"base": ["Patient", "Basic"]}, "expression", "On Basic"),
    ("a composite of one", {"type": "composite", "expression": "Patient"}, "component", "two"),
    ("a code of R4", {"code": "gender", "expression": "Patient.id"}, "code", "individual-gender"),
    ("a url of R4", {"url": R4 + "individual-gender"}, "url", "individual-gender"),
]


@pytest.mark.parametrize(("_case", "change", "place", "said"), REFUSED, ids=lambda item: str(item))
async def test_a_parameter_that_cannot_be_used_is_refused(
    one: httpx.AsyncClient, _case: str, change: dict[str, Any], place: str, said: str
) -> None:
    definition = parameter("mine", "Patient.gender") | change
    definition = {name: value for name, value in definition.items() if value is not None}
    before = (await index_status(one))["generation"]
    answer = await one.post("SearchParameter", json=definition)
    assert answer.status_code == 422, answer.text
    issue = answer.json()["issue"][0]
    assert issue["expression"] == [f"SearchParameter.{place}"]
    assert said in issue["diagnostics"]
    assert (await index_status(one))["generation"] == before
    # A draft may be anything whose structure is sound.
    draft = await one.post("SearchParameter", json=definition | {"status": "draft"})
    assert draft.status_code == 201, draft.text


async def test_every_problem_is_told_at_once(one: httpx.AsyncClient) -> None:
    definition = parameter("_a", "Patient.shoes")
    answer = await one.post("SearchParameter", json=definition)
    places = [issue["expression"] for issue in answer.json()["issue"]]
    assert places == [["SearchParameter.code"], ["SearchParameter.expression"]]


async def test_a_code_that_another_active_parameter_has_is_refused_until_that_is_retired(
    one: httpx.AsyncClient,
) -> None:
    first = parameter("taken", "Patient.gender") | {"id": "first"}
    second = parameter("taken", "Patient.language", base=["Basic", "Patient"])
    second |= {"expression": "Patient.language | Basic.language"}
    assert (await one.put("SearchParameter/first", json=first)).status_code == 201
    answer = await one.post("SearchParameter", json=second)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["SearchParameter.code"]
    assert "SearchParameter/first" in answer.text
    assert first["url"] in answer.text
    await one.put("SearchParameter/first", json=first | {"status": "retired"})
    assert (await one.post("SearchParameter", json=second)).status_code == 201


async def test_a_url_cannot_be_active_twice(one: httpx.AsyncClient) -> None:
    definition = parameter("once", "Patient.gender")
    assert (await one.post("SearchParameter", json=definition)).status_code == 201
    answer = await one.post("SearchParameter", json=definition | {"code": "twice"})
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["SearchParameter.url"]


async def test_two_that_exclude_each_other_cannot_come_in_one_transaction(
    one: httpx.AsyncClient,
) -> None:
    entries = [
        {
            "resource": parameter("same", "Patient.gender"),
            "request": {"method": "POST", "url": "SearchParameter"},
        }
        for _ in range(2)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await one.post("", json=bundle)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.code"]


@pytest.mark.parametrize(
    "definition",
    [
        # As the standard publishes it, except that it is active.
        {"url": R4 + "individual-gender", "base": ["Patient", "Person", "Practitioner",
         "RelatedPerson"], "expression": "Patient.gender | Person.gender | Practitioner.gender"
         " | RelatedPerson.gender"},
        # As a national guide derives one.
        {"expression": "Patient.gender"},
        {"code": "_id", "expression": "Patient.id"},
        {"code": "_profile", "type": "uri", "expression": "Patient.meta.profile"},
        {"expression": "(Patient.gender)"},
    ],
)  # fmt: skip
async def test_a_parameter_that_r4_has_in_the_same_way_is_stored_and_changes_nothing(
    one: httpx.AsyncClient, definition: dict[str, Any]
) -> None:
    before = await index_status(one)
    answer = await one.post("SearchParameter", json=parameter("gender", "x") | definition)
    assert answer.status_code == 201, answer.text
    assert await index_status(one) == before
    assert (await one.get("Patient?gender=male")).status_code == 200


async def test_a_code_that_r4_has_on_another_type_is_free(one: httpx.AsyncClient) -> None:
    definition = parameter("vaccine-code", "Patient.maritalStatus")
    assert (await one.post("SearchParameter", json=definition)).status_code == 201
    await searchable(one, "Patient?vaccine-code=M")
