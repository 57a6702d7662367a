"""Segments in the groups of their structure, even where they stand in no order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.mapping.grouping import Group, grouped, read_grammar
from fhir_server.mapping.values import Delimiters, Segment
from tests.mapping.messages import mapper

DELIMITERS = Delimiters("^", "~", "&", lambda text: text)
GRAMMAR = """
    MSH PATIENT(PID PD1 VISIT(PV1))
    ORDER(ORC OBR NTE* RESULT(OBX NTE*)* SPECIMEN(SPM OBX*)* PRIOR(OLD(PID) EARLIER(ORC OBR)*)*)*
"""


def shape(group: Group) -> str:
    """The groups and their segments as text."""
    own = " ".join(
        f"{name}{len(found) if len(found) > 1 else ''}" for name, found in group.own.items()
    )
    inner = " ".join(shape(each) for each in group.groups)
    return f"{group.name}({' '.join(each for each in (own, inner) if each)})"


def grouping(names: str, grammar: str = GRAMMAR) -> str:
    segments = [Segment(name, [name], 1, DELIMITERS) for name in names.split()]
    root, placed = grouped(read_grammar("M", grammar), segments)
    assert [each.name for _, each in placed] == names.split()
    return shape(root)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("MSH PID PV1 ORC OBR OBX", "M(MSH PATIENT(PID VISIT(PV1)) ORDER(ORC OBR RESULT(OBX)))"),
        ("MSH ORC OBR ORC OBR", "M(MSH ORDER(ORC OBR) ORDER(ORC OBR))"),
        (
            "MSH OBR OBX OBX OBR OBX",
            "M(MSH ORDER(OBR RESULT(OBX) RESULT(OBX)) ORDER(OBR RESULT(OBX)))",
        ),
        ("MSH ORC OBR NTE NTE OBX NTE", "M(MSH ORDER(ORC OBR NTE2 RESULT(OBX NTE)))"),
        ("MSH ORC OBR OBX SPM OBX", "M(MSH ORDER(ORC OBR RESULT(OBX) SPECIMEN(SPM OBX)))"),
        ("MSH PID ZPI ORC ZOR OBR", "M(MSH PATIENT(PID ZPI) ORDER(ORC ZOR OBR))"),
        ("MSH PD1 PID", "M(MSH PATIENT(PD1 PID))"),
        ("MSH ORC OBR PID ORC OBR", "M(MSH ORDER(ORC OBR PRIOR(OLD(PID) EARLIER(ORC OBR))))"),
        ("MSH ORC PV1", "M(MSH ORDER(ORC PV1))"),
    ],
)
def test_segments_find_their_groups(names: str, expected: str) -> None:
    assert grouping(names) == expected


def test_without_a_grammar_all_is_one_group() -> None:
    assert grouping("MSH PID OBX OBX", "") == "M(MSH PID OBX2)"


@pytest.mark.parametrize("text", ["PID(", "PID)", "pid"])
def test_wrong_structure_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="M: "):
        read_grammar("M", text)


@given(st.lists(st.sampled_from(["PID", "PV1", "ORC", "OBR", "OBX", "NTE", "SPM", "ZZZ", "MSH"])))
def test_no_segment_is_lost_whatever_their_order(names: list[str]) -> None:
    for grammar in mapper().book().structures.values():
        segments = [Segment(name, [name], 1, DELIMITERS) for name in names]
        root, placed = grouped(grammar, segments)
        held = [each for group in root.walk() for own in group.own.values() for each in own]
        assert len(held) == len(segments)
        assert [each for _, each in placed] == segments
