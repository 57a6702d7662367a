"""Pages of every sort, while others write: what stays is on exactly one page, in its place."""

from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.answers import link_of, resource_of, resources_of
from tests.interactions import plain_search
from tests.interactions.search_worlds import COUNTS, query, sorts, world
from tests.interactions.searching import Resource, put_all, steps

TYPES = ("Observation", "Patient", "RiskAssessment")
BEFORE, AFTER = world(21), world(22)
LIMITS = st.sampled_from([None, (2, 5, 3, 0), (1, 2, 0, 1), (3, 3, 100, 2)])

Rules = list[tuple[str, bool]]


@pytest.fixture(scope="module", autouse=True)
async def stored(client: httpx.AsyncClient) -> None:
    await put_all(client, BEFORE.values())


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, list[plain_search.Asked], Rules]:
    type_ = draw(st.sampled_from(TYPES))
    code = {"Observation": "subject", "Patient": "gender", "RiskAssessment": "probability"}[type_]
    presence = plain_search.Plain(code, "missing", (draw(st.booleans()),))
    by_time = draw(st.sampled_from([None, None, True, False]))
    rules = draw(sorts(type_)) if by_time is None else [("_lastUpdated", by_time)]
    return type_, draw(st.sampled_from([[], [presence]])), rules


WAYS = st.sampled_from(["touch", "move", "delete", "create"])
WRITES = st.lists(
    st.lists(st.tuples(WAYS, st.integers(0, max(COUNTS.values()) - 1)), max_size=3),
    max_size=6,
)


class Writer:
    """Writes resources of one type, and puts everything back in the end."""

    def __init__(self, client: httpx.AsyncClient, type_: str) -> None:
        self._client = client
        self._type = type_
        self.touched: set[str] = set()
        self.moved: set[str] = set()
        self._created: list[str] = []

    async def write(self, way: str, number: int) -> None:
        id_ = f"{self._type[0]}{number % COUNTS[self._type]}"
        name = f"{self._type}/{id_}"
        if way == "create":
            body = {**AFTER[name]}
            del body["id"]
            answer = await self._client.post(self._type, json=body)
            self._created.append(f"{self._type}/{resource_of(answer, 201)['id']}")
        elif way == "delete":
            self.moved.add(id_)
            assert (await self._client.delete(name)).is_success
        else:
            changed = BEFORE[name] | {"language": "de"} if way == "touch" else AFTER[name]
            (self.touched if way == "touch" else self.moved).add(id_)
            await put_all(self._client, [changed])

    async def restore(self) -> None:
        for name in self._created:
            assert (await self._client.delete(name)).is_success
        await put_all(
            self._client, [BEFORE[f"{self._type}/{id_}"] for id_ in self.touched | self.moved]
        )


def ids(bundle: Resource) -> list[str]:
    return [item["id"] for item in resources_of(bundle)]


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(search=searches(), writes=WRITES, limits=LIMITS, size=st.sampled_from([1, 2, 3, 5]))
async def test_what_stays_is_on_exactly_one_page_while_others_write(
    client: httpx.AsyncClient,
    search: tuple[str, list[plain_search.Asked], Rules],
    writes: list[list[tuple[str, int]]],
    limits: Any,
    size: int,
) -> None:
    writer = Writer(client, search[0])
    with steps(*limits) if limits else nullcontext():
        try:
            seen, last = await _forwards(client, _url(search, size), writer, writes)
            _check(seen, search, writer, reverse=False)
            _check(await _backwards(client, last), search, writer, reverse=True)
        finally:
            await writer.restore()


def _url(search: tuple[str, list[plain_search.Asked], Rules], size: int) -> str:
    type_, asked, rules = search
    sort = ",".join(f"{'-' if descending else ''}{code}" for code, descending in rules)
    return f"{type_}?{query(type_, asked)}&_count={size}" + (f"&_sort={sort}" if sort else "")


async def _forwards(
    client: httpx.AsyncClient, url: str | None, writer: Writer, writes: list[list[tuple[str, int]]]
) -> tuple[list[str], Resource]:
    """The ids of all pages, with some writes after each, and the last page that has any."""
    seen: list[str] = []
    waiting = iter(writes)
    last: Resource = {}
    while url:
        bundle = resource_of(await client.get(url))
        if ids(bundle) or not last:
            last = bundle
        seen += ids(bundle)
        url = link_of(bundle, "next")
        for way, number in next(waiting, []):
            await writer.write(way, number)
    return seen, last


async def _backwards(client: httpx.AsyncClient, last: Resource) -> list[str]:
    """The ids from the last page to the first."""
    seen = ids(last)[::-1]
    while (url := link_of(last, "previous")) is not None:
        last = resource_of(await client.get(url))
        seen += ids(last)[::-1]
    return seen


def _check(
    seen: list[str],
    search: tuple[str, list[plain_search.Asked], Rules],
    writer: Writer,
    *,
    reverse: bool,
) -> None:
    type_, asked, rules = search
    by_time = any(code == "_lastUpdated" for code, _ in rules)
    moving = writer.moved | (writer.touched if by_time else set())
    found = [
        item for item in plain_search.matches(BEFORE, type_, asked) if item["id"] not in moving
    ]
    staying = [id_ for id_ in seen if f"{type_}/{id_}" in BEFORE and id_ not in moving]
    if by_time:
        assert sorted(staying) == sorted(item["id"] for item in found)
    else:
        expected = plain_search.in_order(found, rules)
        assert staying == (expected[::-1] if reverse else expected)
    others = [id_ for id_ in seen if f"{type_}/{id_}" not in BEFORE]
    assert len(others) == len(set(others))


@pytest.mark.parametrize("sort", ["", "&_sort=family", "&_sort=-birthdate", "&_sort=gender,_id"])
async def test_a_cursor_goes_with_its_search_only(client: httpx.AsyncClient, sort: str) -> None:
    first = resource_of(await client.get(f"Patient?_count=2&gender:missing=false{sort}"))
    following = str(link_of(first, "next"))
    cursor = following.partition("_cursor=")[2]
    resource_of(await client.get(f"Patient?_cursor={cursor}&gender:missing=false{sort}"))
    for other in (
        f"Patient?_cursor={cursor}{sort}",
        f"Patient?_cursor={cursor}&gender:missing=true{sort}",
        f"Patient?_cursor={cursor}&gender:missing=false&_sort=_id",
        f"Practitioner?_cursor={cursor}&gender:missing=false",
        f"Patient/P1/Patient?_cursor={cursor}&gender:missing=false{sort}",
        f"?_type=Patient&_cursor={cursor}&gender:missing=false",
    ):
        answer = await client.get(other)
        assert answer.status_code == 400, answer.text
        assert "follow the links" in answer.text


async def test_a_cursor_that_was_tampered_with_is_refused(client: httpx.AsyncClient) -> None:
    first = resource_of(await client.get("Patient?_count=2&_sort=family"))
    address, _, cursor = str(link_of(first, "next")).partition("_cursor=")
    for at in range(len(cursor) - 1):
        other = "A" if cursor[at] != "A" else "B"
        changed = f"{cursor[:at]}{other}{cursor[at + 1 :]}"
        answer = await client.get(f"{address}_cursor={changed}")
        assert answer.status_code == 400, at
    for changed in ("", "x", cursor[:-4], cursor + "AAAA", "%00", "é", "=" * 40, cursor * 40):
        answer = await client.get(f"{address}_cursor={changed}")
        assert answer.status_code == 400, changed
