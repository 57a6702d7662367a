"""What was made is used as long as nothing changed, made once, and let go of when it is much."""

import asyncio

import pytest

from fhir_server.terminology import Terminology
from fhir_server.terminology.locks import Locks
from fhir_server.terminology.memory import Memory
from tests.terminology.given import (
    CTX,
    NO_STORE,
    SYSTEM,
    VALUES,
    Given,
    code_system,
    codes,
    filtered,
    terminology,
    value_set,
)

GENDER = "http://hl7.org/fhir/administrative-gender"


async def test_what_did_not_change_is_made_once() -> None:
    sources = Given(code_system("a"), value_set({"system": SYSTEM}))
    engine = Terminology(sources)
    first = await engine.value_set(CTX, NO_STORE, VALUES)
    assert await engine.value_set(CTX, NO_STORE, VALUES) is first
    assert sources.read == 2


async def test_many_who_ask_at_once_get_what_is_made_once() -> None:
    sources = Given(code_system("a"), value_set({"system": SYSTEM}))
    engine = Terminology(sources)
    asked = [engine.value_set(CTX, NO_STORE, VALUES) for _ in range(20)]
    assert len({id(made) for made in await asyncio.gather(*asked)}) == 1
    assert sources.read == 2


async def test_a_system_that_many_value_sets_need_at_once_is_read_once() -> None:
    urls = [f"{VALUES}/{number}" for number in range(10)]
    sets = [value_set({"system": SYSTEM}, url=url) for url in urls]
    sources = Given(code_system("a"), *sets)
    engine = Terminology(sources)
    await asyncio.gather(*(engine.value_set(CTX, NO_STORE, url) for url in urls))
    assert sources.read == 1 + len(urls)


async def test_a_lock_is_gone_when_nobody_needs_it_whatever_happened() -> None:
    locks = Locks[str]()

    async def failing() -> None:
        async with locks.held("a"):
            await asyncio.sleep(0)
            raise ValueError

    results = await asyncio.gather(failing(), failing(), failing(), return_exceptions=True)
    assert all(isinstance(each, ValueError) for each in results)
    assert len(locks) == 0


async def test_a_changed_code_system_changes_what_is_made_of_it() -> None:
    sources = Given(code_system("a"), value_set({"system": SYSTEM}))
    engine = Terminology(sources)
    assert await codes(engine) == ["a"]
    sources.resources[0] = code_system("a", "b")
    assert await codes(engine) == ["a", "b"]


async def test_those_that_still_hold_are_told_by_one_query() -> None:
    sources = Given(
        code_system("a"),
        value_set({"system": SYSTEM}),
        code_system("b", url="urn:other"),
        value_set({"system": "urn:other"}, url="urn:others"),
    )
    engine = Terminology(sources)
    asked = {VALUES, "urn:others", "urn:none"}
    assert await engine.ready_value_sets(CTX, NO_STORE, asked) == {}
    made = {url: await engine.value_set(CTX, NO_STORE, url) for url in (VALUES, "urn:others")}
    located = sources.located
    assert await engine.ready_value_sets(CTX, NO_STORE, asked) == made
    assert sources.located == located + 1
    sources.resources[0] = code_system("a", "b")
    ready = await engine.ready_value_sets(CTX, NO_STORE, asked)
    assert ready == {"urn:others": made["urn:others"]}


async def test_what_was_missing_is_seen_when_it_comes_and_when_it_goes() -> None:
    sources = Given(value_set({"valueSet": [f"{VALUES}/inner"]}))
    engine = Terminology(sources)
    with pytest.raises(Exception, match="inner' is not known"):
        await codes(engine)
    inner = value_set({"system": SYSTEM}, url=f"{VALUES}/inner")
    sources.resources += [inner, code_system("a")]
    assert await codes(engine) == ["a"]
    del sources.resources[1:]
    with pytest.raises(Exception, match="inner' is not known"):
        await codes(engine)


async def test_what_is_stored_stands_before_what_is_shipped() -> None:
    sources = Given()
    engine = Terminology(sources)
    gender = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert len(await codes(engine, gender)) == 4
    sources.resources.append(code_system("one", url=GENDER, version="99"))
    assert await codes(engine, gender) == ["one"]
    shipped = value_set({"system": GENDER, "version": "4.0.1"})
    sources.resources.append(shipped)
    assert len(await codes(engine)) == 4


async def test_fragments_of_one_version_are_one_system() -> None:
    parts = [code_system(code, content="fragment", count=2, version="1") for code in ("a", "b")]
    other = code_system("c", content="fragment", version="0")
    engine = terminology(*parts, other, value_set(filtered("code", "in", "a,b")))
    assert await engine.codes_of(CTX, NO_STORE, VALUES) == {SYSTEM: {"a", "b"}}


def test_what_was_not_used_for_longest_is_let_go_first() -> None:
    memory = Memory[str, int](10)
    for key in ("a", "b", "c"):
        memory.put(key, 1, weight=3)
    assert memory.get("a") == 1
    memory.put("d", 1, weight=3)
    assert [key for key, _ in memory.items()] == ["c", "a", "d"]
    memory.put("large", 1, weight=99)
    assert [key for key, _ in memory.items()] == ["large"]
    memory.drop("large")
    memory.put("a", 1, weight=10)
    memory.put("a", 2, weight=10)
    assert memory.get("a") == 2
    assert memory.get("large") is None
