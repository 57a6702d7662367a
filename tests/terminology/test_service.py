"""The questions of search and of the terminology operations."""

import pytest

from fhir_server.outcome import Refusal
from tests.terminology.given import (
    CTX,
    NO_STORE,
    SYSTEM,
    VALUES,
    code_system,
    concept,
    terminology,
    value_set,
)

ENGINE = terminology(
    code_system(
        concept(
            "animal",
            concept(
                "dog", "poodle", display="Dog", definition="Barks.", designation=[{"value": "D"}]
            ),
            "cat",
            property=[{"code": "notSelectable", "valueBoolean": True}],
        ),
        name="Animals",
        version="3",
    ),
    value_set({"system": SYSTEM}),
)


async def test_above_and_below_take_the_code_itself_with_them() -> None:
    search = ENGINE.of(CTX, NO_STORE)
    assert await search.related(SYSTEM, "dog", "below") == {"dog", "poodle"}
    assert await search.related(SYSTEM, "poodle", "above") == {"poodle", "dog", "animal"}
    assert await search.related(SYSTEM, "cat", "below") == {"cat"}


async def test_a_search_gets_the_codes_of_a_value_set_by_system() -> None:
    search = ENGINE.of(CTX, NO_STORE)
    assert await search.codes_of(VALUES) == {SYSTEM: {"animal", "dog", "poodle", "cat"}}
    with pytest.raises(Refusal, match="has 4 codes; at most 3 are allowed") as caught:
        await ENGINE.codes_of(CTX, NO_STORE, VALUES, most=3)
    assert caught.value.issues[0].code == "too-costly"


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("dog", "dog", "equivalent"),
        ("animal", "poodle", "subsumes"),
        ("poodle", "animal", "subsumed-by"),
        ("cat", "dog", "not-subsumed"),
    ],
)
async def test_subsumption_has_four_outcomes(a: str, b: str, expected: str) -> None:
    assert await ENGINE.subsumes(CTX, NO_STORE, SYSTEM, a, b) == expected


async def test_a_look_up_tells_all_of_a_concept() -> None:
    found = await ENGINE.lookup(CTX, NO_STORE, SYSTEM, "dog", version="3")
    assert (found.name, found.version, found.display) == ("Animals", "3", "Dog")
    assert (found.definition, found.designations[0].value) == ("Barks.", "D")
    assert (found.parents, found.children) == (("animal",), ("poodle",))
    assert not found.abstract
    assert (await ENGINE.lookup(CTX, NO_STORE, SYSTEM, "animal")).abstract


async def test_unknown_codes_systems_and_versions_are_refused_by_name() -> None:
    with pytest.raises(Refusal, match=f"'{SYSTEM}' has no code 'cow'"):
        await ENGINE.lookup(CTX, NO_STORE, SYSTEM, "cow")
    with pytest.raises(Refusal, match=r"'http://x' is not known here"):
        await ENGINE.descendants(CTX, NO_STORE, "http://x", "a")
    with pytest.raises(Refusal, match=r"\|4' is not known here; there is version 3"):
        await ENGINE.subsumes(CTX, NO_STORE, SYSTEM, "dog", "cat", version="4")


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (SYSTEM, "dog", True),
        (SYSTEM, "cow", False),
        ("http://unitsofmeasure.org", "mm[Hg]", True),
        ("http://unitsofmeasure.org", "mmHg2x", False),
        ("urn:ietf:bcp:47", "de-CH", True),
        ("urn:ietf:bcp:47", "sl-rozaj-biske-1994", True),
        ("urn:ietf:bcp:47", "not a language", False),
        ("urn:ietf:bcp:13", "text/plain; charset=UTF-8", True),
        ("urn:ietf:bcp:13", "application/fhir+json", True),
        ("urn:ietf:bcp:13", "text", False),
        ("urn:ietf:rfc:3986", "urn:oid:1.2.3", True),
        ("urn:ietf:rfc:3986", "no scheme", False),
    ],
)
async def test_a_code_is_one_of_its_system_or_of_its_grammar(
    system: str, code: str, expected: bool
) -> None:
    assert await ENGINE.is_code(CTX, NO_STORE, system, code) is expected


async def test_a_grammar_says_what_is_in_a_value_set_that_cannot_be_listed() -> None:
    url = "http://hl7.org/fhir/ValueSet/mimetypes"
    assert await ENGINE.member(CTX, NO_STORE, url, "urn:ietf:bcp:13", "text/plain")
    assert await ENGINE.member(CTX, NO_STORE, url, "urn:ietf:bcp:13", "text") is None
    with pytest.raises(Refusal, match="a grammar, not a list"):
        await ENGINE.expand(CTX, NO_STORE, url)


async def test_a_value_set_resource_that_cannot_be_read_is_refused() -> None:
    broken = {"resourceType": "ValueSet", "compose": {"include": "all"}}
    with pytest.raises(Refusal, match="The ValueSet cannot be read"):
        await ENGINE.value_set_of(CTX, NO_STORE, broken)
