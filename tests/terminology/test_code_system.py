"""Code systems: codes and their case, what concepts say, where relations come from."""

from typing import Any

import msgspec
import pytest

from fhir_server.outcome import Refusal
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.model import CodeSystem
from tests.terminology.given import Json, code_system, concept

PARENT = "http://hl7.org/fhir/concept-properties#parent"
INACTIVE = "http://hl7.org/fhir/concept-properties#inactive"


def index(*concepts: Json | str, **more: Any) -> CodeSystemIndex:
    return CodeSystemIndex([msgspec.convert(code_system(*concepts, **more), CodeSystem)])


def below(system: CodeSystemIndex, code: str) -> set[str]:
    return set(system.codes(system.hierarchy.descendants(system.position(code))))


def test_concepts_stand_in_the_order_they_are_written() -> None:
    system = index(concept("a", concept("b", "c"), "d"), "e")
    assert list(system.positions) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(("case_sensitive", "found"), [(True, False), (False, True), (None, True)])
def test_case_matters_only_where_the_system_says_so(
    case_sensitive: bool | None, found: bool
) -> None:
    more = {} if case_sensitive is None else {"caseSensitive": case_sensitive}
    system = index("Abc", **more)
    assert system.find("Abc") == 0
    assert system.find("aBC") == (0 if found else None)


def test_codes_that_differ_by_case_alone_are_found_only_as_written() -> None:
    system = index("m", "M", "km")
    assert (system.find("m"), system.find("M")) == (0, 1)
    assert index("Mm", "mM").find("mm") is None


def test_a_hierarchy_is_made_of_nesting_and_of_properties() -> None:
    parent = [{"code": "parent", "valueCode": "a"}]
    child = [{"code": "child", "valueCode": "c"}]
    system = index(
        concept("a", "b"), concept("c", property=parent), concept("d", property=child), "e"
    )
    assert below(system, "a") == {"b", "c"}
    assert below(system, "d") == {"c"}
    assert below(system, "e") == set()


def test_a_property_declared_as_parent_is_one_whatever_its_name() -> None:
    declared = [{"code": "broader", "uri": PARENT, "type": "code"}]
    system = index(
        "a",
        concept("b", property=[{"code": "broader", "valueCode": "a"}]),
        concept("c", property=[{"code": "related", "valueCode": "a"}]),
        property=declared,
    )
    assert below(system, "a") == {"b"}


def test_a_parent_given_as_coding_counts() -> None:
    system = index("a", concept("b", property=[{"code": "parent", "valueCoding": {"code": "a"}}]))
    assert below(system, "a") == {"b"}


def test_a_concept_nested_in_two_places_has_two_parents() -> None:
    system = index(concept("a", "c"), concept("b", "c"))
    assert len(system) == 3
    assert below(system, "a") == below(system, "b") == {"c"}


@pytest.mark.parametrize("meaning", ["part-of", "grouped-by"])
def test_a_hierarchy_that_is_no_classification_says_nothing_of_kinds(meaning: str) -> None:
    system = index(concept("body", "arm"), hierarchyMeaning=meaning)
    with pytest.raises(Refusal, match=f"means '{meaning}'"):
        _ = system.hierarchy
    assert system.relations.children(0) == [1]


def test_subsumption_is_known_beside_a_hierarchy_of_parts() -> None:
    limb = [{"code": "subsumedBy", "valueCode": "limb"}]
    system = index(
        concept("body", concept("arm", property=limb)), "limb", hierarchyMeaning="part-of"
    )
    assert below(system, "limb") == {"arm"}
    assert below(system, "body") == set()


def test_a_concept_above_itself_is_refused_by_name() -> None:
    up = [{"code": "parent", "valueCode": "b"}]
    system = index(concept("a", "b", property=up))
    with pytest.raises(Refusal, match="'a' is above itself"):
        _ = system.hierarchy


@pytest.mark.parametrize(
    ("property_", "inactive"),
    [
        ({"code": "inactive", "valueBoolean": True}, True),
        ({"code": "inactive", "valueBoolean": False}, False),
        ({"code": "gone", "valueBoolean": True}, True),
        ({"code": "status", "valueCode": "retired"}, True),
        ({"code": "status", "valueCode": "deprecated"}, False),
    ],
)
def test_a_concept_is_inactive_when_it_says_so(property_: Json, inactive: bool) -> None:
    declared = [{"code": "gone", "uri": INACTIVE, "type": "boolean"}]
    system = index(concept("a", property=[property_]), property=declared)
    assert system.is_inactive(0) is inactive
    assert not system.is_abstract(0)


def test_a_concept_not_to_be_chosen_is_abstract() -> None:
    group = [{"code": "notSelectable", "valueBoolean": True}]
    assert index(concept("a", property=group)).is_abstract(0)


def test_fragments_make_one_system_which_is_complete_when_they_have_all() -> None:
    parts = [
        msgspec.convert(code_system(code, content="fragment", count=2), CodeSystem)
        for code in ("a", "b")
    ]
    assert list(CodeSystemIndex(parts).positions) == ["a", "b"]
    assert CodeSystemIndex(parts).complete
    assert not CodeSystemIndex(parts[:1]).complete


@pytest.mark.parametrize(
    ("content", "concepts", "code"),
    [
        ("complete", ["a"], "code-invalid"),
        ("fragment", ["a"], "incomplete"),
        ("example", ["a"], "incomplete"),
        ("not-present", [], "not-supported"),
    ],
)
def test_an_absent_code_is_wrong_only_in_a_complete_system(
    content: str, concepts: list[str], code: str
) -> None:
    with pytest.raises(Refusal) as caught:
        index(*concepts, content=content).position("z")
    (issue,) = caught.value.issues
    assert issue.code == code
    assert "http://example.org/system" in issue.diagnostics


def test_a_supplement_adds_texts_and_properties() -> None:
    system = index(concept("a", designation=[{"value": "A"}]), "b")
    german = [{"language": "de", "value": "Ah"}]
    extra = index(
        concept("a", designation=german, property=[{"code": "order", "valueInteger": 1}]),
        content="supplement",
    )
    whole = system.supplemented([extra])
    assert [each.value for each in whole.designations(0)] == ["A", "Ah"]
    assert [each.text for each in whole.properties(0)] == ["1"]
    assert len(system.designations(0)) == 1
    assert list(whole.words.find(["ah"])) == [0]
    assert not system.words.find(["ah"])
