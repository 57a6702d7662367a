"""search: what asks for too much ends by a limit with a clear answer."""

import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import psycopg
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.answers import ids_of, refusal_of, resource_of
from tests.conftest import FHIR_JSON
from tests.interactions.searching import FORM, coded, observation, patient, put_all, reference

UCUM = "http://unitsofmeasure.org"
UNITS = ("kg", "g", "mg", "ug", "ng", "[lb_av]", "[oz_av]", "t")


@pytest.fixture(scope="module", autouse=True)
async def resources(client: httpx.AsyncClient) -> None:
    weights = [
        observation(
            f"o{at}",
            code=coded("w"),
            subject=reference("Patient/p0"),
            valueQuantity={"value": at, "system": UCUM, "code": code},
        )
        for at, code in enumerate(UNITS)
    ]
    people = [patient(f"p{at}", name=[{"family": f"Name{at}"}]) for at in range(5)]
    await put_all(client, [*weights, *people])


async def posted(client: httpx.AsyncClient, type_: str, form: str) -> httpx.Response:
    """A search whose parameters are too long for a URL; it may not take long."""
    started = time.monotonic()
    answer = await client.post(f"{type_}/_search", content=form, headers=FORM)
    assert time.monotonic() - started < 20
    return answer


def many(name: str, value: str, alternatives: int, times: int) -> str:
    """`name` a number of times, each with alternatives in which `{}` counts."""
    values = ",".join(value.format(at) for at in range(alternatives))
    return "&".join([f"{name}={quote(values, safe=',|')}"] * times)


async def test_ten_thousand_values_are_looked_for(client: httpx.AsyncClient) -> None:
    for form in (
        many("identifier", "urn:x|{}", 500, 20),
        many("_id", "p{}", 500, 20),
        many("general-practitioner", "http://x.example/fhir/Practitioner/{}", 500, 20),
    ):
        answer = await posted(client, "Patient", form)
        assert len(ids_of(resource_of(answer))) == (5 if form.startswith("_id") else 0)
    answer = await posted(client, "Patient", many("gender:not", "g{}", 500, 20))
    assert len(ids_of(resource_of(answer))) == 5


@pytest.mark.parametrize(
    ("type_", "form"),
    [
        ("Patient", many("name", "x{}", 500, 1)),
        ("Patient", many("name:contains", "x{}", 500, 1)),
        ("Patient", many("birthdate", "ge{:04}", 499, 1).replace("ge0000", "ge0001")),
        ("Observation", many("value-quantity", "{}" + f"|{UCUM}|kg", 500, 1)),
        ("Observation", many("code-value-quantity", "w${}" + f"|{UCUM}|kg", 500, 1)),
        ("Observation", many("code:text", "x{}", 500, 1)),
        ("Location", many("near", "{}|0", 90, 1)),
        ("Patient", many("_text", "x{}", 500, 1)),
    ],
)
async def test_five_hundred_alternatives_of_any_kind_are_looked_for(
    client: httpx.AsyncClient, type_: str, form: str
) -> None:
    resource_of(await posted(client, type_, form))


@pytest.mark.parametrize(
    ("type_", "form"),
    [
        ("Patient", many("name", "x{}", 500, 100)),
        ("Patient", many("_id", "x{}", 500, 21)),
        ("Observation", many("value-quantity", "{}" + f"|{UCUM}|kg", 500, 20)),
        ("Observation", many("code-value-quantity", "w${}" + f"|{UCUM}|kg", 500, 20)),
    ],
)
async def test_more_values_than_a_statement_takes_are_refused(
    client: httpx.AsyncClient, type_: str, form: str
) -> None:
    refusal_of(await posted(client, type_, form), 400, "too-costly")


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("Patient?_id=" + ",".join(["a"] * 501), "500"),
        ("Observation?code-value-quantity=" + ",".join(["w$1"] * 501), "501"),
        ("Patient?" + "&".join(["_id=a"] * 101), "100"),
        ("Patient?" + "&".join(["_id=a"] * 1001), "1000"),
        ("Patient?name=" + "x" * 301, "300"),
        ("Patient?_sort=" + ",".join(["family"] * 9), "at most 8"),
    ],
)
async def test_what_is_beyond_a_limit_is_refused_and_the_limit_told(
    client: httpx.AsyncClient, search: str, told: str
) -> None:
    assert told in refusal_of(await client.get(search), 400)


HOSTILE = [
    "' or 1=1 --",
    "'; drop table resource; --",
    '"; select pg_sleep(9); --',
    "%s",
    "%(name)s",
    "{s}.resource",
    "{r}.id",
    "{0}",
    "$1",
    "\\'",
    "(a+)+$",
    "((((((((((a*)*)*)*)*)*)*)*)*)*)b",
    "[[:alpha:]]",
    "a" * 300,
    "%25" * 100,
    "\u0001\u001f\u001e",
    "\U0010ffff",
    "v.low or true",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "name",
    ["name", "name:contains", "name:exact", "identifier", "gender:text", "_id", "_text", "_list"],
)
async def test_a_value_is_never_more_than_a_value(
    client: httpx.AsyncClient, name: str, value: str
) -> None:
    started = time.monotonic()
    answer = await client.get(f"Patient?{name}={quote(value, safe='')}")
    assert time.monotonic() - started < 8
    if answer.status_code == 200:
        assert resource_of(answer)["total"] == 0
    else:
        refusal_of(answer, 400)


PLACES = (
    "{}=x",
    "organization.{}=x",
    "name:{}=x",
    "_has:Observation:patient:{}=x",
    "_has:{}:patient:code=x",
    "_sort={}",
    "_sort=-{},family",
    "_filter={} eq x",
)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_is_never_more_than_a_name(client: httpx.AsyncClient, name: str) -> None:
    for place in PLACES:
        search = place.replace("{}", quote(name, safe=""))
        refusal_of(await client.get(f"Patient?{search}"), 400)
    refusal_of(await client.get(f"?_type={quote(name, safe='')}"), 400)


async def test_contradictions_find_nothing_and_soon(client: httpx.AsyncClient) -> None:
    search = "&".join(f"birthdate=gt{year}&birthdate=lt{year}" for year in range(1950, 1990))
    assert resource_of(await client.get(f"Patient?{search}"))["total"] == 0
    search = "&".join(f"name=x{at}&name:missing=true" for at in range(40))
    assert resource_of(await client.get(f"Patient?{search}"))["total"] == 0


@pytest.fixture
async def hurried(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A server on the same data whose statements may take a fraction of a second."""
    app = build(Settings(database_pool=2, statement_timeout=0.3), database)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir/", headers=FHIR_JSON, timeout=60
        ) as found,
    ):
        yield found


async def test_a_statement_that_takes_too_long_ends_as_unavailable(
    client: httpx.AsyncClient, hurried: httpx.AsyncClient, database: str
) -> None:
    search = "Patient?name=name1&birthdate:missing=true"
    assert ids_of(resource_of(await hurried.get(search))) == {"p1"}
    with psycopg.connect(database) as blocking:
        schemas = blocking.execute(
            "select schemaname from pg_tables where tablename = 'string_value'"
        ).fetchall()
        for (schema,) in schemas:
            blocking.execute(f'lock table "{schema}".string_value in access exclusive mode')
        started = time.monotonic()
        refusal_of(await hurried.get(search), 503, "timeout")
        assert time.monotonic() - started < 20
    assert ids_of(resource_of(await hurried.get(search))) == {"p1"}
