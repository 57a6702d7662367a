import re

import pytest

from fhir_server.conformance.content import Content, Held, Response
from fhir_server.conformance.model import Variable
from fhir_server.conformance.values import NoValue, Values

PATIENT = Held(
    "the fixture 'p'",
    {
        "resourceType": "Patient",
        "id": "7",
        "active": True,
        "name": [{"family": "Chalmers", "given": ["Peter", "James"]}],
    },
)
RESPONSE = Response(201, [("Location", "http://test/fhir/Patient/7")], b"", 0.1)


def values(*variables: Variable, **given: str) -> Values:
    contents: dict[str | None, Content] = {"p": PATIENT, None: RESPONSE, "r": RESPONSE}
    return Values({each.name: each for each in variables}, given, contents.get)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (Variable("v", default="x"), "x"),
        (Variable("v", expression="Patient.name.family", source_id="p"), "Chalmers"),
        (Variable("v", expression="active", source_id="p"), "true"),
        (Variable("v", path="Patient/id", source_id="p"), "7"),
        (Variable("v", path="fhir:Patient/fhir:id/@value", source_id="p"), "7"),
        (Variable("v", path="$.name[0].given[1]", source_id="p"), "James"),
        (Variable("v", path="id", source_id="p"), "7"),
        (Variable("v", header="location", source_id="r"), "http://test/fhir/Patient/7"),
        (Variable("v", header="Location"), "http://test/fhir/Patient/7"),
        (Variable("v", path="Patient/birthDate", source_id="p", default="none"), "none"),
        (Variable("v", path="Patient/id", source_id="later", default="none"), "none"),
        (Variable("v", default="a${D3}b"), None),
    ],
)
def test_a_variable_is_what_its_source_has(variable: Variable, expected: str | None) -> None:
    found = values(variable).fill("<${v}>")
    assert found == f"<{expected}>" or (expected is None and re.fullmatch(r"<a\d{3}b>", found))


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        (Variable("v"), "--variable v=VALUE gives one"),
        (Variable("v", path="Patient/id", source_id="later"), "there is no later yet"),
        (Variable("v", expression="Patient.name.given", source_id="p"), "gives 2 values"),
        (Variable("v", expression="Patient.name", source_id="p"), "expected a primitive value"),
        (Variable("v", expression="Patient.(", source_id="p"), "is wrong"),
        (Variable("v", path="Patient[", source_id="p"), "is wrong"),
        (Variable("v", path="$[", source_id="p"), "is wrong"),
        (Variable("v", header="ETag", source_id="r"), "has no header ETag"),
        (Variable("v", path="Patient/id", source_id="r"), "has no body"),
        (Variable("v", default="${v}"), "depends on itself"),
        (Variable("v", default="${w}"), "there is no variable ${w}"),
    ],
)
def test_a_variable_without_a_value_is_an_error_that_names_it(
    variable: Variable, said: str
) -> None:
    with pytest.raises(NoValue, match=re.escape(said)):
        values(variable).fill("${v}")


def test_what_is_given_from_outside_wins() -> None:
    variable = Variable("v", path="Patient/id", source_id="p")
    assert values(variable, v="8").fill("${v}") == "8"
    with values(variable).with_value("v", "9"):
        pass
    filled = values(variable)
    with filled.with_value("v", "9"):
        assert filled.fill("${v}") == "9"
    assert filled.fill("${v}") == "7"


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("C6", "[a-z]{6}"),
        ("D4", "[1-9][0-9]{3}"),
        ("CD13", "([a-z][0-9]){6}[a-z]"),
        ("UUID", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("CURRENTDATE", r"\d{4}-\d\d-\d\d"),
        ("CURRENTDATETIME", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        ("CURRENTTIME", r"\d\d:\d\d:\d\d"),
    ],
)
def test_a_placeholder_stays_the_same_within_a_run(name: str, pattern: str) -> None:
    made = values()
    first = made.fill(f"${{{name}}}")
    assert re.fullmatch(pattern, first)
    assert made.fill(f"${{{name}}}") == first


def test_placeholders_of_two_runs_differ() -> None:
    assert values().fill("${C20}") != values().fill("${C20}")


def test_in_a_fixture_an_unknown_name_is_text() -> None:
    made = values(Variable("v", default="x"))
    assert made.fill_known({"a": ["${v}-${unknown}", 1]}) == {"a": ["x-${unknown}", 1]}
