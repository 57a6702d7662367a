"""What the values of _include and _revinclude mean."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.outcome import Unavailable
from fhir_server.search.conditions import Circumstances, PredicateError
from fhir_server.search.includes import Include, include, including
from fhir_server.search.parameters import SearchParameters
from fhir_server.search.selecting import Selecting, Unknown
from fhir_server.spec import definitions

KNOWN = SearchParameters(definitions())
WHERE = Circumstances("http://here.example/fhir", ZoneInfo("UTC"))


def read(name: str, value: str, *searched: str, unready: tuple[str, str] = ("", "")) -> Include:
    return include(name, value, searched, KNOWN, Selecting(KNOWN, WHERE, {unready: "wait"}))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("_include", "*", Include(False, "", "*")),
        ("_include", "Patient:*", Include(False, "Patient", "*")),
        ("_include", "Patient:link", Include(False, "Patient", "link")),
        ("_include:iterate", "Group:member", Include(False, "Group", "member", iterate=True)),
        ("_revinclude", "*", Include(True, "", "*")),
        (
            "_revinclude:iterate",
            "Observation:subject:Patient",
            Include(True, "Observation", "subject", "Patient", iterate=True),
        ),
        ("_revinclude", "Observation:*:Patient", Include(True, "Observation", "*", "Patient")),
    ],
)
def test_a_rule_is_read_from_its_parts(name: str, value: str, expected: Include) -> None:
    assert including(name)
    assert read(name, value, "Patient") == expected


@pytest.mark.parametrize("name", ["include", "_includes", "_has", "_rev", ""])
def test_other_parameters_include_nothing(name: str) -> None:
    assert not including(name)


def test_a_parameter_that_is_being_indexed_is_not_followed_yet() -> None:
    unready = ("Observation", "subject")
    with pytest.raises(Unavailable):
        read("_revinclude", "Observation:subject", "Patient", unready=unready)
    with pytest.raises(Unavailable):
        read("_revinclude", "*", "Patient", unready=unready)
    assert read("_include", "*", "Observation", unready=unready).code == "*"


_WORDS = st.sampled_from(
    ["*", "", "Patient", "Observation", "Resource", "subject", "name", "Group", "x\0", "é", " "]
)


@given(
    st.sampled_from(["_include", "_revinclude", "_include:iterate", "_revinclude:x"]),
    st.lists(_WORDS, max_size=5).map(":".join) | st.text(max_size=20),
    st.lists(st.sampled_from(["Patient", "Observation"]), unique=True),
)
def test_any_value_is_a_rule_or_refused(name: str, value: str, searched: list[str]) -> None:
    try:
        rule = read(name, value, *searched)
    except (PredicateError, Unknown):
        return
    assert name != "_revinclude:x"
    parts = [rule.source, rule.code, rule.target]
    assert value in ("*", ":".join(part for part in parts if part))
