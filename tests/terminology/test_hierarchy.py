"""Subsumption is a partial order, whatever relations make it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.terminology.hierarchy import CircularHierarchy, Hierarchy

SIZE = 12
# Every relation goes from a lower to a higher position: no circles.
relations = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)).filter(lambda e: e[0] < e[1]),
    max_size=40,
)
positions = st.integers(0, SIZE - 1)


@given(relations, positions, positions, positions)
def test_subsumption_is_a_partial_order(
    edges: list[tuple[int, int]], a: int, b: int, c: int
) -> None:
    order = Hierarchy(edges)
    assert order.subsumes(a, a)
    if order.subsumes(a, b) and order.subsumes(b, a):
        assert a == b
    if order.subsumes(a, b) and order.subsumes(b, c):
        assert order.subsumes(a, c)


@given(relations, positions, positions)
def test_what_is_below_and_what_is_above_agree_with_subsumption(
    edges: list[tuple[int, int]], a: int, b: int
) -> None:
    order = Hierarchy(edges)
    assert (b in order.descendants(a)) == (a in order.ancestors(b))
    assert (b in order.descendants(a)) == (a != b and order.subsumes(a, b))


@given(relations, positions)
def test_what_is_below_is_what_steps_down_reach(edges: list[tuple[int, int]], start: int) -> None:
    reached: set[int] = set()
    for _ in range(SIZE):
        reached |= {below for above, below in edges if above in {start, *reached}}
    assert Hierarchy(edges).descendants(start) == reached


@given(relations, st.data())
def test_a_circle_is_refused_wherever_it_is(
    edges: list[tuple[int, int]], data: st.DataObject
) -> None:
    a = data.draw(st.integers(0, SIZE - 2))
    b = data.draw(st.integers(a + 1, SIZE - 1))
    with pytest.raises(CircularHierarchy):
        Hierarchy([*edges, (a, b), (b, a)])


def test_a_relation_given_twice_counts_once() -> None:
    order = Hierarchy([(0, 1), (0, 1)])
    assert order.children(0) == [1]
    assert order.parents(1) == [0]
    assert order
    assert not Hierarchy([])
