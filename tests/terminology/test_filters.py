"""Filters of value sets: each operator, on the hierarchy and on properties."""

import time

import msgspec
import pytest

from fhir_server.outcome import Refusal
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.filters import fulfilling
from fhir_server.terminology.model import CodeSystem, Filter
from tests.terminology.given import code_system, concept

PROPERTIES = [
    {"code": "colour", "type": "string"},
    {"code": "edible", "type": "boolean"},
    {"code": "relative", "type": "code"},
    {"code": "legs", "type": "integer"},
]
RED = {"code": "colour", "valueString": "red"}
GREEN = {"code": "colour", "valueString": "green"}
EDIBLE = {"code": "edible", "valueBoolean": True}
SYSTEM = CodeSystemIndex(
    [
        msgspec.convert(
            code_system(
                concept(
                    "plant",
                    concept("apple", property=[RED, GREEN, EDIBLE], display="The Apple"),
                    concept("yew", property=[GREEN, {"code": "edible", "valueBoolean": False}]),
                ),
                concept(
                    "animal",
                    concept("dog", property=[{"code": "legs", "valueInteger": 4}]),
                    concept("moth", property=[{"code": "relative", "valueCode": "yew"}]),
                ),
                concept("old", property=[{"code": "inactive", "valueBoolean": True}]),
                property=PROPERTIES,
                filter=[{"code": "distance", "operator": ["="], "value": "a number"}],
            ),
            CodeSystem,
        )
    ]
)
ALL = {"plant", "apple", "yew", "animal", "dog", "moth", "old"}


def found(property_: str, op: str, value: str) -> set[str]:
    return set(SYSTEM.codes(fulfilling(SYSTEM, Filter(property_, op, value))))


@pytest.mark.parametrize(
    ("property_", "op", "value", "expected"),
    [
        ("concept", "is-a", "plant", {"plant", "apple", "yew"}),
        ("code", "is-a", "plant", {"plant", "apple", "yew"}),
        ("concept", "descendent-of", "plant", {"apple", "yew"}),
        ("concept", "is-not-a", "plant", ALL - {"plant", "apple", "yew"}),
        ("concept", "generalizes", "yew", {"yew", "plant"}),
        ("concept", "=", "dog", {"dog"}),
        ("concept", "=", "cat", set()),
        ("concept", "in", "dog, moth,cat", {"dog", "moth"}),
        ("concept", "not-in", "dog,moth", ALL - {"dog", "moth"}),
        ("code", "regex", "[a-d].*", {"apple", "animal", "dog"}),
        ("code", "regex", "do", set()),
        ("display", "regex", ".*Apple", {"apple"}),
        ("parent", "=", "plant", {"apple", "yew"}),
        ("child", "=", "yew", {"plant"}),
        ("parent", "exists", "false", {"plant", "animal", "old"}),
        ("colour", "=", "green", {"apple", "yew"}),
        ("colour", "in", "red,blue", {"apple"}),
        ("colour", "not-in", "red,blue", ALL - {"apple"}),
        ("colour", "exists", "true", {"apple", "yew"}),
        ("edible", "=", "true", {"apple"}),
        ("edible", "=", "false", {"yew"}),
        ("legs", "=", "4", {"dog"}),
        ("relative", "is-a", "plant", {"moth"}),
        ("relative", "descendent-of", "yew", set()),
        ("relative", "is-not-a", "plant", ALL - {"moth"}),
        ("inactive", "=", "true", {"old"}),
        ("inactive", "=", "false", ALL - {"old"}),
    ],
)
def test_an_operator_finds_what_r4_says(
    property_: str, op: str, value: str, expected: set[str]
) -> None:
    assert found(property_, op, value) == expected


@pytest.mark.parametrize(
    ("property_", "op", "value", "named"),
    [
        ("weight", "=", "1", "no property 'weight', only child, code, colour"),
        ("distance", "=", "1", "declares the filter 'distance'"),
        ("concept", "child-of", "plant", "expected one of =, descendent-of"),
        ("colour", "exists", "yes", "expected true or false"),
        ("concept", "is-a", "stone", "no code 'stone'"),
        ("code", "regex", "(", "not a regular expression"),
        ("code", "regex", "(a{1000}){1000}", "repeats too much"),
    ],
)
def test_what_cannot_be_applied_is_refused_by_name(
    property_: str, op: str, value: str, named: str
) -> None:
    with pytest.raises(Refusal) as caught:
        found(property_, op, value)
    assert named in str(caught.value)
    assert "http://example.org/system" in str(caught.value)


def test_a_hostile_pattern_ends_in_bounded_time() -> None:
    system = CodeSystemIndex([msgspec.convert(code_system("a" * 40 + "!"), CodeSystem)])
    started = time.process_time()
    with pytest.raises(Refusal, match="takes more than"):
        fulfilling(system, Filter("code", "regex", "(a|aa)+b?c"))
    assert time.process_time() - started < 5
