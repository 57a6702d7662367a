"""Which scopes are granted of those asked for, and how they are explained."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.identity.granting import check_scopes, explained, grantable, needs_patient
from fhir_server.security.scopes import InvalidScope, parse_scope


@pytest.mark.parametrize(
    ("asked", "allowed", "granted"),
    [
        ("patient/*.rs", "patient/*.rs", "patient/*.rs"),
        ("patient/*.cruds", "patient/*.rs", "patient/*.rs"),
        ("patient/Observation.rs", "patient/*.cruds", "patient/Observation.rs"),
        ("patient/*.rs", "patient/Observation.r patient/Condition.rs",
         "patient/Observation.r patient/Condition.rs"),
        ("patient/Observation.rs?category=laboratory", "patient/*.rs",
         "patient/Observation.rs?category=laboratory"),
        ("patient/Observation.rs", "patient/Observation.rs?category=laboratory",
         "patient/Observation.rs?category=laboratory"),
        ("patient/Observation.rs?code=1", "patient/*.r?category=laboratory",
         "patient/Observation.r?code=1&category=laboratory"),
        ("patient/*.read", "patient/*.rs", "patient/*.read"),
        ("patient/*.read", "patient/*.r", "patient/*.r"),
        ("patient/*.*", "patient/*.read", "patient/*.rs"),
        ("user/Patient.rs", "patient/*.cruds", ""),
        ("user/Patient.c", "user/Patient.rs", ""),
        ("system/*.rs", "system/*.rs", ""),
        ("openid email fhirUser", "openid fhirUser", "openid fhirUser"),
        ("openid openid", "openid", "openid"),
        ("", "openid", ""),
    ],
)  # fmt: skip
def test_no_more_is_granted_than_is_asked_for_and_allowed(
    asked: str, allowed: str, granted: str
) -> None:
    assert " ".join(grantable(asked, allowed, ["patient", "user"])) == granted


SCOPES = st.builds(
    "{}/{}.{}{}".format,
    st.sampled_from(["patient", "user"]),
    st.sampled_from(["*", "Patient", "Observation"]),
    st.sampled_from(["c", "rs", "cruds", "read", "write", "*", "u"]),
    st.sampled_from(["", "?code=1", "?status=final"]),
)


@given(st.lists(SCOPES, max_size=4), st.lists(SCOPES, max_size=4))
def test_what_is_granted_is_within_both(asked: list[str], allowed: list[str]) -> None:
    for scope in grantable(" ".join(asked), " ".join(allowed), ["patient", "user"]):
        for bound in (asked, allowed):
            assert any(within(scope, each) for each in bound), (scope, bound)


def within(scope: str, bound: str) -> bool:
    (context, grant), (other, outer) = (
        parse_scope(scope) or ("", None),
        parse_scope(bound)
        or (
            "",
            None,
        ),
    )
    assert grant is not None
    assert outer is not None
    types = grant.types <= outer.types or "*" in outer.types
    where = not outer.where or outer.where in grant.where.split("&")
    return context == other and types and grant.letters <= outer.letters and where


@pytest.mark.parametrize("text", ["patient/*.x", "user/patient.rs", "patient/*.sr", "everything"])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        check_scopes(text)


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("patient/Observation.rs", "Read, search Observation of the patient"),
        ("user/*.cruds", "Add, read, change, delete, search everything that you may see"),
        (
            "patient/Observation.r?category=laboratory",
            "Read Observation of the patient, where category=laboratory",
        ),
        ("offline_access", "Go on when you are no longer logged in"),
    ],
)
def test_people_are_told_what_a_scope_means(scope: str, text: str) -> None:
    assert explained(scope) == text


def test_some_scopes_need_a_patient() -> None:
    assert needs_patient(["openid", "launch/patient"])
    assert needs_patient(["patient/*.rs"])
    assert not needs_patient(["launch", "user/*.rs", "openid"])
