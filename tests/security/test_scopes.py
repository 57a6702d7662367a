"""SMART scopes, versions 1 and 2 (SMART App Launch 2 scopes-and-launch-context.html)."""

import pytest

from fhir_server.security.access import Grant
from fhir_server.security.scopes import InvalidScope, parse_scope, scope_grants

OWN = frozenset({"Patient", "Observation", "Condition"})
SHARED = frozenset({"Practitioner", "ValueSet"})


@pytest.mark.parametrize(
    ("text", "context", "types", "letters"),
    [
        ("patient/Observation.rs", "patient", {"Observation"}, "rs"),
        ("user/*.cruds", "user", {"*"}, "cruds"),
        ("system/Patient.c", "system", {"Patient"}, "c"),
        ("patient/*.read", "patient", {"*"}, "rs"),
        ("user/Encounter.write", "user", {"Encounter"}, "cud"),
        ("system/*.*", "system", {"*"}, "cruds"),
    ],
)
def test_scopes_of_both_versions_are_understood(
    text: str, context: str, types: set[str], letters: str
) -> None:
    assert parse_scope(text) == (context, Grant(frozenset(types), frozenset(letters)))


@pytest.mark.parametrize("text", ["openid", "fhirUser", "launch/patient", "offline_access"])
def test_other_scopes_are_not_about_resources(text: str) -> None:
    assert parse_scope(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "patient/Observation",
        "patient/Observation.",
        "patient/Observation.sr",
        "patient/observation.r",
        "patient/Observation.rx",
        "user/*.readwrite",
        "patient/Observation.rs?",
        "patient/Observation.rs?category",
        "patient/Obs/1.rs",
    ],
)
def test_what_looks_like_a_scope_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidScope, match="expected"):
        parse_scope(text)


def test_a_scope_may_have_a_search_query() -> None:
    found = parse_scope("patient/Observation.rs?category=laboratory")
    assert found is not None
    assert found[1].where == "category=laboratory"


def test_patient_scopes_grant_the_compartment_and_reading_what_belongs_to_nobody() -> None:
    found = list(scope_grants({"patient/*.cruds"}, "1", SHARED, OWN))
    assert found == [
        Grant(OWN, frozenset("cruds"), "", ("Patient", "1")),
        Grant(SHARED, frozenset("rs")),
    ]


def test_patient_scopes_grant_nothing_without_a_patient() -> None:
    assert list(scope_grants({"patient/*.cruds"}, "", SHARED, OWN)) == []


def test_patient_scopes_on_types_of_nobody_and_not_shared_grant_nothing() -> None:
    assert list(scope_grants({"patient/AuditEvent.rs"}, "1", SHARED, OWN)) == []
