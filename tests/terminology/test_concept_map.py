"""Concept maps: both directions, and what becomes of a code that a map does not mention."""

from typing import Any

import pytest

from fhir_server.outcome import NotFound, Refusal
from fhir_server.terminology import Terminology
from tests.terminology.given import CTX, NO_STORE, Json, terminology

MAP = "http://example.org/map"
FROM, TO = "http://example.org/from", "http://example.org/to"


def element(code: str, *targets: tuple[str, str]) -> Json:
    found = [{"code": target, "equivalence": equivalence} for target, equivalence in targets]
    return {"code": code, "target": found}


def concept_map(*elements: Json, url: str = MAP, **group: Any) -> Json:
    groups = [{"source": FROM, "target": TO, "element": list(elements)} | group]
    return {"resourceType": "ConceptMap", "url": url, "status": "active", "group": groups}


async def translated(engine: Terminology, code: str, **options: Any) -> list[tuple[str, str]]:
    system = TO if options.get("reverse") else FROM
    found = await engine.translate(CTX, NO_STORE, MAP, system, code, **options)
    return [(each.code, each.equivalence) for each in found]


async def test_a_code_has_all_its_targets_in_order() -> None:
    engine = terminology(
        concept_map(element("a", ("x", "equal"), ("y", "wider")), element("a", ("z", "narrower")))
    )
    assert await translated(engine, "a") == [("x", "equal"), ("y", "wider"), ("z", "narrower")]
    assert await translated(engine, "b") == []
    assert await translated(engine, "a", target="http://example.org/elsewhere") == []


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ("wider", "narrower"),
        ("narrower", "wider"),
        ("subsumes", "specializes"),
        ("specializes", "subsumes"),
        ("equal", "equal"),
        ("inexact", "inexact"),
    ],
)
async def test_an_equivalence_is_turned_round_with_the_direction(there: str, back: str) -> None:
    engine = terminology(concept_map(element("a", ("x", there)), element("b", ("x", "equal"))))
    assert await translated(engine, "x", reverse=True) == [("a", back), ("b", "equal")]


async def test_a_statement_that_nothing_matches_is_no_match() -> None:
    map_ = concept_map(element("a", ("", "unmatched")), unmapped={"mode": "fixed", "code": "other"})
    (found,) = await terminology(map_).translate(CTX, NO_STORE, MAP, FROM, "a")
    assert not found.matches
    disjoint = terminology(concept_map(element("a", ("x", "disjoint"))))
    assert await translated(disjoint, "x", reverse=True) == []


async def test_an_unmapped_code_follows_the_rule_of_the_group() -> None:
    fixed = terminology(concept_map(unmapped={"mode": "fixed", "code": "other"}))
    assert await translated(fixed, "a") == [("other", "inexact")]
    provided = terminology(concept_map(unmapped={"mode": "provided"}))
    assert await translated(provided, "a") == [("a", "equal")]
    elsewhere = await fixed.translate(CTX, NO_STORE, MAP, "http://example.org/x", "a")
    assert elsewhere == []


async def test_an_unmapped_code_is_handed_on_to_another_map() -> None:
    url = "http://example.org/second"
    engine = terminology(
        concept_map(element("a", ("x", "equal")), unmapped={"mode": "other-map", "url": url}),
        concept_map(element("b", ("y", "equal")), url=url),
    )
    (found,) = await engine.translate(CTX, NO_STORE, MAP, FROM, "b")
    assert (found.code, found.source) == ("y", url)


async def test_a_missing_map_matters_only_to_a_code_that_is_handed_on() -> None:
    rule = {"mode": "other-map", "url": "http://example.org/none"}
    engine = terminology(concept_map(element("a", ("x", "equal")), unmapped=rule))
    assert await translated(engine, "a") == [("x", "equal")]
    with pytest.raises(NotFound, match="none' is not known"):
        await translated(engine, "b")


async def test_maps_that_hand_on_in_a_circle_are_refused() -> None:
    rule = {"mode": "other-map", "url": MAP}
    with pytest.raises(Refusal, match=f"{MAP} → {MAP}"):
        await translated(terminology(concept_map(unmapped=rule)), "a")


async def test_a_mode_that_is_not_known_is_refused() -> None:
    with pytest.raises(Refusal, match="unmapped mode is 'guess'"):
        await translated(terminology(concept_map(unmapped={"mode": "guess"})), "a")


async def test_a_group_need_not_name_its_systems() -> None:
    map_ = concept_map(element("a", ("x", "equal")))
    del map_["group"][0]["source"]
    assert await translated(terminology(map_), "a") == [("x", "equal")]
