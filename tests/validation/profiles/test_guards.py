"""A shortcut never says that an invariant holds which FHIRPath finds broken."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath import FhirPathError, Node
from fhir_server.fhirpath import compile as compile_fhirpath
from fhir_server.fhirpath.model import NodeType
from fhir_server.spec import Constraint, definitions
from fhir_server.validation.profiles.base_rules import ENSURED
from fhir_server.validation.profiles.guards import Certain, guard
from fhir_server.validation.profiles.known_invariants import KNOWN
from fhir_server.validation.structure import StructureCheck
from tests.validation.profiles.random_objects import EXTRA, kind_of, objects


def shortcuts() -> Iterator[tuple[str, str, str, Certain]]:
    """Type, key, expression and shortcut of every invariant that has one."""
    for name, type_ in sorted(definitions().types.items()):
        kind = kind_of(name)
        for constraint in type_.constraints:
            yield from _shortcut(name, kind, constraint)
        for element in type_.elements.values():
            child = kind.children[element.name]
            if element.constraints and child is not None and child.type is not None:
                for constraint in element.constraints:
                    yield from _shortcut(child.type.name, child.type, constraint)


def _shortcut(
    name: str, kind: NodeType, constraint: Constraint
) -> Iterator[tuple[str, str, str, Certain]]:
    if constraint.key in ENSURED or kind.primitive:
        return
    for certain in (KNOWN.get(constraint.key), guard(constraint.expression, kind)):
        if certain is not None:
            yield name, constraint.key, constraint.expression, certain


# Many types inherit the same invariant: one type for each shortcut is enough.
_ALL = {
    (key, expression, certain is KNOWN.get(key)): (name, certain)
    for name, key, expression, certain in shortcuts()
}


@pytest.mark.parametrize("key", sorted({key for key, _, _ in _ALL}))
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_what_a_shortcut_lets_pass_is_not_broken(key: str, data: st.DataObject) -> None:
    for (own, expression, _), (name, certain) in _ALL.items():
        if own != key:
            continue
        value = data.draw(objects(name))
        if certain(value):
            compiled = compile_fhirpath(expression, as_filters=True)
            try:
                holds = compiled.evaluate_bool(Node(value, kind_of(name)))
            except FhirPathError:
                continue
            assert holds is not False, value


def test_most_invariants_have_a_shortcut() -> None:
    keys = {key for key, _, _ in _ALL}
    assert len(keys) >= 100
    assert {"dom-3", "per-1", "ref-1", "qty-3", "att-1", "obs-6", "bdl-7"} <= keys


@pytest.mark.parametrize(
    ("start", "end"),
    list(
        itertools.product(
            ["2024", "2024-02", "2024-02-01", "2024-02-01T10:00:00Z", "2024-02-01T10:00:60Z"],
            [
                "2023",
                "2024-03",
                "2024-02-01",
                "2024-02-01T09:59:59.5Z",
                "2024-02-01T10:00:00+01:00",
                "2024-02-01T10:00:00Z",
                "2024-02-01T10:00:01Z",
            ],
        )
    ),
)
def test_periods_pass_at_a_glance_only_when_fhirpath_agrees(start: str, end: str) -> None:
    period = {"start": start, "end": end}
    expression = next(
        each.expression for each in definitions().types["Period"].constraints if each.key == "per-1"
    )
    holds = compile_fhirpath(expression, as_filters=True).evaluate_bool(
        Node(period, kind_of("Period"))
    )
    if KNOWN["per-1"](period):
        assert holds is not False


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceType": "Patient", "name": [{}]},
        {"resourceType": "Patient", "name": [{"id": "a"}]},
        {"resourceType": "Patient", "extension": [{"url": "http://example.org/x"}]},
        {
            "resourceType": "Patient",
            "extension": [{"url": "http://example.org/x", "valueString": "y", **EXTRA}],
        },
        {
            "resourceType": "Patient",
            "contained": [{"resourceType": "Patient", "contained": [{"resourceType": "Patient"}]}],
        },
        {"resourceType": "Patient", "text": {"status": "generated", "div": "<div></div>"}},
        {
            "resourceType": "Patient",
            "text": {
                "status": "generated",
                "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>',
            },
        },
        {
            "resourceType": "Patient",
            "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"/>'},
        },
    ],
)
def test_what_is_left_to_the_structure_check_it_refuses(broken: dict[str, Any]) -> None:
    assert StructureCheck(definitions()).check(broken).issues


def test_only_those_are_left_to_the_structure_check() -> None:
    assert {"ele-1", "ext-1", "dom-2", "txt-1", "txt-2"} == ENSURED
