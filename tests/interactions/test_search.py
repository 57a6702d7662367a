"""search: what is asked is applied or refused, by whatever way it comes (R4 http.html#search)."""

from typing import Any

import httpx
import pytest

from tests.answers import diagnostics_of, ids_of, link_of, refusal_of, resource_of
from tests.interactions.searching import (
    FORM,
    coded,
    finds,
    observation,
    patient,
    put_all,
    reference,
    resource,
)

LENIENT = {"Prefer": "handling=lenient"}

RESOURCES = (
    patient("a", gender="male", birthDate="1970", meta={"source": "urn:x:1"}),
    patient("b", gender="female", meta={"tag": [{"code": "t"}], "profile": ["http://p.example/p"]}),
    patient("c"),
    observation("o", subject=reference("Patient/a"), code=coded("x")),
    resource("Practitioner", "a", gender="male"),
    resource("Group", "g", type="person", actual=True, code=coded("x")),
)


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    await put_all(client, RESOURCES)


SEARCHES = [
    ("Patient?_id=a", "a"),
    ("Patient?_id=a,c,x", "a c"),
    ("Patient?_id=A", ""),
    ("Patient?_id:not=a", "b c"),
    ("Patient?_id=a&_id=b", ""),
    ("Observation?_id=a", ""),
    ("Patient?_source=urn:x:1", "a"),
    ("Patient?_profile=http://p.example/p", "b"),
    ("Patient?_id=a&gender=male&birthdate=1970&_lastUpdated=gt2000", "a"),
    ("Patient?_id=%61", "a"),
    ("?_id=b,o", "b o"),
    ("?_tag=t", "b"),
    ("?_id=b&_type=Patient,Observation", "b"),
    ("?_type=Group", "g"),
    ("?_type=Group,Observation", "g o"),
    ("?_type=Group,Observation&code=x", "g o"),
    ("?_type=Patient,Practitioner&gender=female", "b"),
    ("?_type=Patient&birthdate=1970&gender=male", "a"),
    ("?_type=Observation&subject:Patient.gender=male", "o"),
    ("?_type=Patient,Group&_has:Observation:subject:code=x", "a"),
    ("?_type=Observation&_filter=code eq x", "o"),
]


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize(("search", "expected"), SEARCHES)
async def test_a_search_finds_exactly(
    client: httpx.AsyncClient, search: str, expected: str
) -> None:
    await finds(client, search, expected)


@pytest.mark.parametrize(
    ("search", "code", "told"),
    [
        ("Patient?birthdat=1", "not-supported", "did you mean birthdate"),
        ("Patient?nonsense=1", "not-supported", "birthdate"),
        ("Patient?Gender=male", "not-supported", "'Gender'"),
        ("Patient?=male", "not-supported", "''"),
        ("Patient?gender:nonsense=x", "not-supported", ":not"),
        ("Patient?gender:=x", "not-supported", "':' without a modifier"),
        ("?name=x", "not-supported", "all types"),
        ("?_type=Patient,Observation&gender=x", "not-supported", "'gender' on Observation"),
        ("?_type=Nonsense", "value", "Nonsense"),
        ("?_type=Resource", "value", "Resource"),
        ("?_type=", "value", "_type="),
        ("?_type=Patient&_type=Group", "value", "once"),
        ("Patient?_type=Patient", "not-supported", "this one is of Patient"),
        ("Patient?_id=", "invalid", "empty value"),
        ("Patient?_id", "invalid", "empty value"),
        ("Patient?_query=x", "not-supported", "_query"),
        ("Patient?_total=many", "value", "accurate"),
        ("Patient?gender=%FF", "invalid", "UTF-8"),
    ],
)
async def test_what_is_not_understood_is_refused_and_told(
    client: httpx.AsyncClient, search: str, code: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400, code)


async def test_everything_that_is_wrong_is_named_at_once(client: httpx.AsyncClient) -> None:
    search = "Patient?foo=1&bar=2&name=x&baz=3&birthdate=soon&_sort=nothing"
    told = refusal_of(await client.get(search), 400, "not-supported")
    assert all(f"'{name}'" in told for name in ("foo", "bar", "baz", "soon", "nothing"))


@pytest.mark.parametrize(
    ("search", "left", "named"),
    [
        ("Patient?nonsense=1&_id=a", "Patient?_id=a", "'nonsense'"),
        ("Patient?gender:near=x&_id=a", "Patient?_id=a", ":near"),
        ("Patient?nonsense.name=1&_id=a", "Patient?_id=a", "'nonsense'"),
        ("Patient?organization.nonsense=1&_id=a", "Patient?_id=a", "'nonsense'"),
        ("Patient?_has:X:y:z=1&_id=a", "Patient?_id=a", "'X'"),
        ("Patient?_type=Patient&_id=a", "Patient?_id=a", "_type"),
        ("Patient?_id=a&_sort=nonsense", "Patient?_id=a", "'nonsense'"),
        ("Patient?_id=a&gender=male&x=1", "Patient?_id=a&gender=male", "'x'"),
    ],
)
async def test_the_lenient_are_told_what_was_ignored(
    client: httpx.AsyncClient, search: str, left: str, named: str
) -> None:
    bundle = resource_of(await client.get(search, headers=LENIENT))
    assert link_of(bundle, "self") == f"http://test/fhir/{left}"
    assert ids_of(bundle) == {"a"}
    assert bundle["total"] == 1
    (entry,) = [entry for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]
    assert entry["resource"]["issue"][0]["severity"] == "warning"
    assert named in diagnostics_of(entry["resource"], "not-supported")


@pytest.mark.parametrize(
    "search",
    [
        "Patient?birthdate=soon",
        "Patient?_id=",
        "Patient?_filter=name",
        "Patient?_list=$current",
        "Patient?_count=x",
    ],
)
async def test_even_the_lenient_must_write_values_right(
    client: httpx.AsyncClient, search: str
) -> None:
    refusal_of(await client.get(search, headers=LENIENT), 400)


@pytest.mark.parametrize("handling", ["strict", "Lenient", "other", ""])
async def test_only_the_lenient_may_be_vague(client: httpx.AsyncClient, handling: str) -> None:
    headers = {"Prefer": f"handling={handling}"}
    refusal_of(await client.get("Patient?nonsense=1", headers=headers), 400)


SELF_LINKS = [
    "Patient?gender=male&_count=5",
    "Patient?gender:not=male,female&gender:missing=true",
    "Patient?birthdate=ge1970&birthdate=lt1980&_sort=-birthdate,_id",
    "Patient?name=a%5C,b%20c%26d%3De%2Bf",
    "Patient?_has:Observation:patient:code=x",
    "Observation?subject:Patient.gender=male&_total=accurate",
    "Patient?_filter=gender%20eq%20male&_summary=count",
    "Patient/a/Observation?code=x",
    "Patient/a/*?_type=Observation",
    "?_type=Patient&gender=male",
    "Patient?name=%C3%A9%F0%9F%98%80",
]


@pytest.mark.parametrize("search", SELF_LINKS)
async def test_the_self_link_shows_what_was_applied_and_repeats_it(
    client: httpx.AsyncClient, search: str
) -> None:
    bundle = resource_of(await client.get(search))
    assert (
        link_of(bundle, "self") == "http://test/fhir" + ("" if search[0] == "?" else "/") + search
    )
    again = resource_of(await client.get(str(link_of(bundle, "self"))))
    assert ids_of(again) == ids_of(bundle)
    assert link_of(again, "self") == link_of(bundle, "self")


@pytest.mark.parametrize("path", ["Patient", "", "Patient/a/*"])
async def test_a_search_by_post_is_the_search_by_get(client: httpx.AsyncClient, path: str) -> None:
    by_get = resource_of(await client.get(f"{path}?_id=a,b&_count=1"))
    where = f"{path}/_search" if path else "_search"
    for url, form in (
        (where, "_id=a,b&_count=1"),
        (f"{where}?_count=1", "_id=a%2Cb"),
        (f"{where}?_id=a,b&_count=1", ""),
    ):
        by_post = resource_of(await client.post(url, content=form, headers=FORM))
        assert ids_of(by_post) == ids_of(by_get)
        assert by_post["total"] == by_get["total"] if "total" in by_get else True
        assert link_of(by_post, "next") == link_of(by_get, "next")


async def test_parameters_of_url_and_body_all_count(client: httpx.AsyncClient) -> None:
    async def posted(query: str, form: str) -> httpx.Response:
        return await client.post(f"Patient/_search?{query}", content=form, headers=FORM)

    assert ids_of(resource_of(await posted("gender=male", "_id=a,b"))) == {"a"}
    assert ids_of(resource_of(await posted("_id=a", "_id=b"))) == set()
    assert "'nonsense'" in refusal_of(await posted("nonsense=1", "_id=b"), 400)
    refusal_of(await posted("_count=1", "_count=2"), 400)


async def test_a_search_by_post_takes_a_form_only(client: httpx.AsyncClient) -> None:
    refusal_of(await client.post("Patient/_search", json={"_id": "p1"}), 415)


@pytest.mark.parametrize("search", ["Patient?_id=a", "?_type=Group", "Patient/a/Observation"])
async def test_head_tells_what_get_would_and_sends_nothing(
    client: httpx.AsyncClient, search: str
) -> None:
    got, head = await client.get(search), await client.head(search)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert (await client.head("Patient?nonsense=1")).status_code == 400


async def test_a_deleted_resource_is_found_by_nothing(client: httpx.AsyncClient) -> None:
    gone: dict[str, Any] = patient("gone", gender="unknown", birthDate="1900-01-01")
    await put_all(client, [gone])
    assert (await client.delete("Patient/gone")).is_success
    for search in (
        "_id=gone",
        "gender=unknown",
        "birthdate=1900",
        "birthdate=lt1901",
        "birthdate:missing=false&gender=unknown",
        "_id=gone&gender:not=male",
        "_id=gone&_lastUpdated=gt2000",
    ):
        await finds(client, f"Patient?{search}", "")
    found = resource_of(await client.get("Patient?_sort=birthdate"))
    assert ids_of(found) == {"a", "b", "c"}
