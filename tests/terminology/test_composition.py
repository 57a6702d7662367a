"""Laws on random value sets: includes unite, excludes subtract, imports intersect."""

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.terminology.service import Terminology
from tests.terminology.given import (
    CTX,
    NO_STORE,
    Json,
    code_system,
    codes,
    concept,
    filtered,
    listed,
    terminology,
    value_set,
)

OTHER = "http://example.org/other"
CODES = [f"c{number}" for number in range(8)]
VALUE_SETS = [f"http://example.org/vs/{number}" for number in range(4)]


@st.composite
def systems(draw: st.DrawFn) -> list[Json]:
    """Two systems with the same codes and different hierarchies."""
    found = []
    for url in ("http://example.org/system", OTHER):
        concepts = []
        for number, code in enumerate(CODES):
            above = draw(
                st.sets(st.sampled_from(CODES[:number]), max_size=2) if number else st.just(set())
            )
            properties: list[Json] = [
                {"code": "parent", "valueCode": each} for each in sorted(above)
            ]
            if draw(st.booleans()):
                properties.append({"code": "inactive", "valueBoolean": True})
            concepts.append(concept(code, property=properties))
        found.append(code_system(*concepts, url=url))
    return found


def parts(number: int) -> st.SearchStrategy[Json]:
    """An include or exclude; a value set imports only those before it."""
    urls = st.sampled_from(["http://example.org/system", OTHER])
    one = st.sampled_from(CODES)
    ops = st.sampled_from(["is-a", "descendent-of", "is-not-a", "generalizes", "="])
    of_system = st.one_of(
        st.builds(lambda url: {"system": url}, urls),
        st.builds(lambda url, some: listed(*some, system=url), urls, st.sets(one, min_size=1)),
        st.builds(lambda url, op, code: filtered("concept", op, code, url), urls, ops, one),
    )
    if not number:
        return of_system
    imports = st.lists(st.sampled_from(VALUE_SETS[:number]), min_size=1, max_size=2, unique=True)
    importing = st.builds(lambda imported: {"valueSet": imported}, imports)
    both = st.builds(lambda part, imported: part | imported, of_system, importing)
    return st.one_of(of_system, importing, both)


def value_sets(number: int) -> st.SearchStrategy[Json]:
    some = st.lists(parts(number), min_size=1, max_size=3)
    return st.builds(
        lambda include, exclude, inactive: value_set(
            *include, exclude=exclude, url=VALUE_SETS[number], inactive=inactive
        ),
        some,
        st.lists(parts(number), max_size=2),
        st.booleans(),
    )


definitions = st.tuples(systems(), *(value_sets(number) for number in range(len(VALUE_SETS))))
Definitions = tuple[list[Json], Json, Json, Json, Json]


async def pairs(engine: Terminology, url: str) -> set[tuple[str, str]]:
    expansion = await engine.expand(CTX, NO_STORE, url)
    found = [(member.system, member.code) for member in expansion.page()]
    assert len(found) == len(set(found)) == expansion.total
    return set(found)


async def made(engine: Terminology, definition: Json) -> set[tuple[str, str]]:
    rules = await engine.value_set_of(CTX, NO_STORE, definition)
    return {(member.system, member.code) for member in rules.expansion.page()}


@given(definitions)
async def test_membership_is_expansion(given_: Definitions) -> None:
    systems_, *sets = given_
    engine = terminology(*systems_, *sets)
    for definition in sets:
        expanded = await pairs(engine, definition["url"])
        rules = await engine.value_set(CTX, NO_STORE, definition["url"])
        asked = {
            (system["url"], code)
            for system in systems_
            for code in CODES
            if rules.find(system["url"], code)
        }
        assert asked == expanded


@given(definitions)
async def test_includes_unite_and_excludes_subtract(given_: Definitions) -> None:
    systems_, *sets = given_
    engine = terminology(*systems_, *sets)
    compose = sets[-1]["compose"]
    included = [await made(engine, value_set(part)) for part in compose["include"]]
    excluded = [await made(engine, value_set(part)) for part in compose.get("exclude", [])]
    compose["inactive"] = True
    assert await made(engine, sets[-1]) == set().union(*included) - set().union(*excluded)


@given(definitions)
async def test_imports_of_one_include_intersect(given_: Definitions) -> None:
    systems_, *sets = given_
    engine = terminology(*systems_, *sets)
    urls = [each["url"] for each in sets[:3]]
    whole = {"system": OTHER}
    expected = (await made(engine, value_set(whole))).intersection(
        *[await pairs(engine, url) for url in urls]
    )
    assert await made(engine, value_set(whole | {"valueSet": urls})) == expected


@given(definitions)
async def test_without_inactive_codes_is_the_same_but_for_those(given_: Definitions) -> None:
    systems_, *sets = given_
    engine = terminology(*systems_, *sets)
    definition = sets[0]
    definition["compose"]["inactive"] = True
    rules = await engine.value_set_of(CTX, NO_STORE, definition)
    active = [member.code for member in rules.expansion.active.page()]
    assert active == [member.code for member in rules.expansion.page() if not member.inactive]
    definition["compose"]["inactive"] = False
    other = await engine.value_set_of(CTX, NO_STORE, definition)
    assert [member.code for member in other.expansion.page()] == active


@given(st.sets(st.sampled_from(CODES), min_size=1), st.permutations(CODES))
async def test_listed_codes_keep_their_order(some: set[str], order: list[str]) -> None:
    wanted = [code for code in order if code in some]
    engine = terminology(code_system(*CODES), value_set(listed(*wanted)))
    assert await codes(engine) == wanted
