import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_server.search.filter import (
    DEEPEST,
    LONGEST,
    MOST_COMPARISONS,
    OPERATORS,
    Comparison,
    Filter,
    FilterError,
    Junction,
    Not,
    Operator,
    Step,
    junction,
    parse,
    render,
)


def compare(path: str, operator: str, value: str) -> Comparison:
    return Comparison(tuple(Step(name) for name in path.split(".")), Operator(operator), value)


A, B, C = compare("a", "eq", "1"), compare("b", "eq", "2"), compare("c", "eq", "3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name co "pet"', compare("name", "co", "pet")),
        (
            'given eq "peter" and birthdate ge 2014-10-10',
            Junction(
                "and", (compare("given", "eq", "peter"), compare("birthdate", "ge", "2014-10-10"))
            ),
        ),
        ("code eq http://loinc.org|1234-5", compare("code", "eq", "http://loinc.org|1234-5")),
        ('subject.name co "pet"', compare("subject.name", "co", "pet")),
        (
            'related[type eq "has-component"].target pr true',
            Comparison(
                (Step("related", None, compare("type", "eq", "has-component")), Step("target")),
                Operator.PR,
                "true",
            ),
        ),
        (
            "related[type eq has-component].target re Observation/4",
            Comparison(
                (Step("related", None, compare("type", "eq", "has-component")), Step("target")),
                Operator.RE,
                "Observation/4",
            ),
        ),
    ],
)
def test_examples_of_the_standard(text: str, expected: Filter) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a eq 1 and b eq 2 or c eq 3", Junction("or", (Junction("and", (A, B)), C))),
        ("a eq 1 or b eq 2 and c eq 3", Junction("and", (Junction("or", (A, B)), C))),
        ("a eq 1 or (b eq 2 and c eq 3)", Junction("or", (A, Junction("and", (B, C))))),
        ("a eq 1 and b eq 2 and c eq 3", Junction("and", (A, B, C))),
        ("a eq 1 and (b eq 2 and c eq 3)", Junction("and", (A, B, C))),
        ("not (a eq 1) and b eq 2", Junction("and", (Not(A), B))),
        ("not(a eq 1 or b eq 2)", Not(Junction("or", (A, B)))),
        ("((a eq 1))", A),
        ("(a eq 1)and(b eq 2)", Junction("and", (A, B))),
        ("  a\teq\n1  ", A),
    ],
)
def test_and_and_or_are_taken_from_left_to_right(text: str, expected: Filter) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a eq "two words"', "two words"),
        (r'a eq "say \"hi\" \\ \u00e9 \ud83d\ude00"', 'say "hi" \\ é 😀'),
        ('a eq "a)b]c"', "a)b]c"),
        ('a eq ""', ""),
        ("a eq -5.4|http://unitsofmeasure.org|mg", "-5.4|http://unitsofmeasure.org|mg"),
        ("a eq 2014-10-10T10:00:00.5+02:00", "2014-10-10T10:00:00.5+02:00"),
        ("a eq Müller", "Müller"),
        ('a eq b"c', 'b"c'),
        ("a eq and", "and"),
        ("a eq (", "("),
        ("a pr TRUE", "true"),
        ('a pr "false"', "false"),
    ],
)
def test_values_are_strings_or_anything_without_space(text: str, value: str) -> None:
    found = parse(text)
    assert isinstance(found, Comparison)
    assert found.value == value


def test_a_step_may_name_the_type_that_is_meant() -> None:
    found = parse("subject:Patient.organization:Organization.name eq x")
    assert isinstance(found, Comparison)
    steps = [(step.name, step.type) for step in found.path]
    assert steps == [("subject", "Patient"), ("organization", "Organization"), ("name", None)]


def test_comparisons_and_steps_know_where_they_stand() -> None:
    found = parse("a eq 1 and bc.de[f eq 2].g eq 3")
    assert isinstance(found, Junction)
    second = found.parts[1]
    assert isinstance(second, Comparison)
    assert (second.position, [step.position for step in second.path]) == (11, [11, 14, 25])


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 0, "the name of a search parameter"),
        ("   ", 3, "the name of a search parameter"),
        ("name", 4, "a space and an operator"),
        ("name ", 5, "one of the operators eq, ne"),
        ("name is x", 5, "one of the operators eq, ne"),
        ("name EQ x", 5, "one of the operators eq, ne"),
        ("name eq", 7, "a space and a value"),
        ("name eq ", 8, "a value"),
        ("name eq )", 8, "a value"),
        ('name eq"x"', 7, "a space and a value"),
        ("name pr yes", 8, "true or false"),
        ('name eq "open', 8, "closing quote"),
        (r'name eq "\x"', 8, "a string as in JSON"),
        ('name eq "x"y', 11, "after a string"),
        (r'name eq "\u0000"', 8, "U\\+0000"),
        (r'name eq "\ud800"', 8, "whole characters"),
        ("name eq a\0", 9, "U\\+0000"),
        ("name eq \ud800", 8, "whole characters"),
        ("name:exact eq x", 5, "the name of a resource type"),
        ("name:Patient-x eq x", 5, "the name of a resource type"),
        ("subject..name eq x", 8, "the name of a search parameter"),
        ("subject.1 eq x", 8, "the name of a search parameter"),
        ("a[b eq 1] eq x", 9, "'.' and a parameter"),
        ("a[b eq 1.c eq x", 11, "'and', 'or' or ']'"),
        ("(a eq 1", 7, "'and', 'or' or '\\)'"),
        ("a eq 1)", 6, "'and', 'or' or the end"),
        ("a eq 1 b eq 2", 7, "'and', 'or' or the end"),
        ("a eq 1 and", 10, "the name of a search parameter"),
        ("a eq 1 AND b eq 2", 7, "'and', 'or' or the end"),
        ("not a eq 1", 4, "'\\(' after 'not'"),
        ("()", 1, "the name of a search parameter"),
        ("é eq 1", 0, "the name of a search parameter"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(
    text: str, position: int, expected: str
) -> None:
    with pytest.raises(FilterError, match=expected) as refused:
        parse(text)
    assert refused.value.position == position
    assert f"character {position + 1}: " in str(refused.value)


def nested(levels: int, opening: str, closing: str) -> str:
    return opening * levels + "a eq 1" + closing * levels


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("not (", ")"), ("b[", "].c eq 1")])
def test_depth_is_limited(opening: str, closing: str) -> None:
    parse(nested(DEEPEST - 1, opening, closing))
    for levels in (DEEPEST + 1, LONGEST // (len(opening + closing) + 1)):
        with pytest.raises(FilterError, match=f"at most {DEEPEST} levels"):
            parse(nested(levels, opening, closing))


def test_changes_between_and_and_or_are_limited_like_depth() -> None:
    parse("a eq 1" + " and a eq 1 or a eq 1" * (DEEPEST // 2 - 1))
    with pytest.raises(FilterError, match=f"at most {DEEPEST} levels"):
        parse("a eq 1" + " and a eq 1 or a eq 1" * DEEPEST)


def test_length_and_comparisons_are_limited() -> None:
    with pytest.raises(FilterError, match="at most 10000 characters"):
        parse("a eq " + "x" * LONGEST)
    parse(" or ".join(["a eq 1"] * MOST_COMPARISONS))
    with pytest.raises(FilterError, match="at most 100 comparisons"):
        parse(" or ".join(["a eq 1"] * (MOST_COMPARISONS + 1)))


def test_every_operator_compares_some_type() -> None:
    assert set(OPERATORS) == set(Operator)
    assert all(OPERATORS.values())
    assert [operator.value for operator in Operator if "reference" in OPERATORS[operator]] == [
        "pr",
        "re",
    ]


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda name: name != "not"
)
TYPES = st.none() | st.sampled_from(["Patient", "Observation"])
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def comparisons(inner: st.SearchStrategy[Filter | None]) -> st.SearchStrategy[Filter]:
    step = st.builds(Step, NAMES, TYPES, inner)
    path = st.builds(
        lambda steps, last: (*steps, last),
        st.lists(step, max_size=2),
        st.builds(Step, NAMES, TYPES),
    )
    others = st.sampled_from([operator for operator in Operator if operator is not Operator.PR])
    present = st.builds(Comparison, path, st.just(Operator.PR), st.sampled_from(["true", "false"]))
    return st.builds(Comparison, path, others, VALUES) | present


FILTERS: st.SearchStrategy[Filter] = st.recursive(
    comparisons(st.none()),
    lambda inner: st.one_of(
        comparisons(st.none() | inner),
        st.builds(Not, inner),
        st.builds(
            junction, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)
        ),
    ),
    max_leaves=8,
)
PIECES = st.sampled_from(
    [" ", "(", ")", "[", "]", ".", ":", '"', "\\", "not", "and", "or", "eq", "pr", "a", "Patient"]
)


@given(FILTERS)
def test_what_is_rendered_is_read_as_the_same_filter(filter_: Filter) -> None:
    assert parse(render(filter_)) == filter_


def parsed(text: str) -> Filter | FilterError:
    try:
        return parse(text)
    except FilterError as error:
        return error


@given(st.text() | st.lists(PIECES, max_size=60).map("".join) | st.lists(PIECES).map(" ".join))
@example("not " * 50)
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    found = parsed(text)
    if isinstance(found, FilterError):
        assert 0 <= found.position <= len(text)
    else:
        assert parse(render(found)) == found
