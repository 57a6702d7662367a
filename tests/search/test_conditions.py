"""The algebra of conditions: what is put together means the same as its parts."""

import pytest

from fhir_server.search.conditions import (
    ALWAYS,
    NEVER,
    Absent,
    AllOf,
    AnyOf,
    Column,
    Condition,
    Keys,
    Not,
    ReferredBy,
    Refers,
    Selection,
    all_of,
    any_of,
    ordered,
    size,
    split_at,
    split_bar,
    unescape,
)

ONE, TWO = Keys((1,)), Keys((2, 3))
COLUMN = Column("{r}.id = %s", ("a",))
ROW = ordered("date_value", 7, "v.low > %s", (1,))
OTHER_ROW = ordered("date_value", 7, "v.low < %s", (0,))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], ALWAYS),
        ([ONE], ONE),
        ([ONE, TWO], AllOf((ONE, TWO))),
        ([ONE, AllOf((TWO, COLUMN))], AllOf((ONE, TWO, COLUMN))),
        ([ONE, ALWAYS], ONE),
        ([ONE, NEVER, COLUMN], NEVER),
    ],
)
def test_all_of_has_no_needless_nesting(members: list[Condition], expected: Condition) -> None:
    assert all_of(members) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], NEVER),
        ([COLUMN], COLUMN),
        ([ONE, TWO, ONE], Keys((1, 2, 3))),
        ([ONE, COLUMN, TWO], AnyOf((Keys((1, 2, 3)), COLUMN))),
        ([NEVER, COLUMN], COLUMN),
        ([NEVER, NEVER], NEVER),
        ([Not(ONE), Not(TWO)], AnyOf((Not(ONE), Not(TWO)))),
        ([AnyOf((ONE, COLUMN)), TWO], AnyOf((Keys((1, 2, 3)), COLUMN))),
    ],
)
def test_any_of_puts_keys_together(members: list[Condition], expected: Condition) -> None:
    assert any_of(members) == expected


def test_any_of_puts_rows_of_one_parameter_together() -> None:
    elsewhere = ordered("date_value", 8, "v.low < %s", (0,))
    assert any_of([ROW, OTHER_ROW, elsewhere]) == AnyOf(
        (type(ROW)("date_value", 7, ROW.any_of + OTHER_ROW.any_of), elsewhere)
    )


@pytest.mark.parametrize(
    ("condition", "least"),
    [
        (TWO, 2),
        (ROW, 1),
        (Column("any", (["a", "b", "c"], 1)), 4),
        (Not(TWO), 2),
        (AllOf((TWO, ONE)), 3),
        (Refers(1, Selection("Patient", TWO)), 3),
        (ReferredBy(1, Selection("Patient", TWO)), 3),
        (Absent((1,), "gender", True), 20),
    ],
)
def test_size_counts_every_value(condition: Condition, least: int) -> None:
    assert size(condition) >= least


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b", ["a", "b"]),
        (r"a\,b,c", [r"a\,b", "c"]),
        (r"a\\,b", [r"a\\", "b"]),
        (r"a\\\,b", [r"a\\\,b"]),
        (",", ["", ""]),
        ("", [""]),
    ],
)
def test_a_separator_that_is_escaped_separates_nothing(text: str, parts: list[str]) -> None:
    assert split_at(",", text) == parts


def test_bars_are_unescaped_after_splitting() -> None:
    assert split_bar(r"http://a\|b|c\\|d\,\$") == ["http://a|b", "c\\", "d,$"]
    assert unescape(r"\a\n\\n") == r"\a\n\n"
