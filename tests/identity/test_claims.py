"""What the tokens of real providers look like, and whom they tell of."""

from typing import Any

import pytest
from pydantic import ValidationError

from fhir_server.identity.claims import principal_of
from fhir_server.identity.issuers import Issuer, IssuersError, read_issuers
from fhir_server.outcome import Unauthorized
from fhir_server.security.principal import Principal

BASE = "https://fhir.example.org/fhir"


def issuer(url: str, **more: Any) -> Issuer:
    return Issuer(issuer=url, audience=(BASE,), **more)


KEYCLOAK = "https://id.example.org/realms/hospital"


def test_a_user_of_keycloak() -> None:
    claims = {
        "exp": 1790000000,
        "iat": 1789999700,
        "auth_time": 1789999690,
        "jti": "onrtac:7f0d8f0e-2a55-4c43-9f6b-0f9d2f0f1a11",
        "iss": KEYCLOAK,
        "aud": [BASE, "account"],
        "sub": "f3b8a3b0-6f2e-4f2a-9d56-0c5a7f6f0b11",
        "typ": "Bearer",
        "azp": "viewer",
        "sid": "5b0c2a4e-8f0d-4f6c-8a31-7d3c5b1e9f22",
        "acr": "1",
        "realm_access": {"roles": ["default-roles-hospital", "doctor", "offline_access"]},
        "resource_access": {"account": {"roles": ["manage-account"]}},
        "scope": "openid profile email user/*.rs launch/patient",
        "email_verified": True,
        "name": "Anna Arzt",
        "preferred_username": "anna",
        "fhirUser": f"{BASE}/Practitioner/anna",
        "tenants": ["north", "south"],
    }
    assert principal_of(claims, issuer(KEYCLOAK), BASE) == Principal(
        name="user:f3b8a3b0-6f2e-4f2a-9d56-0c5a7f6f0b11@id.example.org",
        roles=frozenset({"doctor"}),
        scopes=frozenset({"openid", "profile", "email", "user/*.rs", "launch/patient"}),
        tenants=("north", "south"),
        fhir_user="Practitioner/anna",
        client="viewer",
    )


def test_a_program_of_keycloak() -> None:
    claims = {
        "iss": KEYCLOAK,
        "sub": "0f6e2a44-8a1b-4a1e-9b1e-4b2a4d0f7c11",
        "typ": "Bearer",
        "azp": "laboratory",
        "client_id": "laboratory",
        "preferred_username": "service-account-laboratory",
        "realm_access": {"roles": ["system"]},
        "scope": "system/*.cruds",
        "clientAddress": "10.0.0.7",
    }
    found = principal_of(claims, issuer(KEYCLOAK), BASE)
    assert found.name == "client:laboratory@id.example.org"
    assert found.client == "laboratory"
    assert found.roles == {"system"}
    assert found.tenants == ("default",)


def test_roles_of_one_client_of_keycloak() -> None:
    claims = {"sub": "a", "resource_access": {"fhir.example.org": {"roles": ["nurse"]}}}
    where = issuer(KEYCLOAK, roles=[("resource_access", "fhir.example.org", "roles")])
    assert principal_of(claims, where, BASE).roles == {"nurse"}


ENTRA = "https://login.microsoftonline.com/6c1b7d2e-0000-4000-8000-0123456789ab/v2.0"


def test_a_user_of_entra_id() -> None:
    claims = {
        "aud": "5b1c9a60-0000-4000-8000-0123456789ab",
        "iss": ENTRA,
        "iat": 1789999700,
        "nbf": 1789999700,
        "exp": 1790004000,
        "azp": "9a2f3c10-0000-4000-8000-0123456789ab",
        "azpacr": "1",
        "name": "Anna Arzt",
        "oid": "11f0aa3d-0000-4000-8000-0123456789ab",
        "preferred_username": "anna@hospital.example.org",
        "roles": ["Radiology.Read"],
        "scp": "access_as_user",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "tid": "6c1b7d2e-0000-4000-8000-0123456789ab",
        "uti": "abcdefghijklmnopqrstuv",
        "ver": "2.0",
    }
    where = issuer(ENTRA, role_names={"Radiology.Read": "radiologist"}, scopes_required=False)
    assert principal_of(claims, where, BASE) == Principal(
        name="user:AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ@login.microsoftonline.com",
        roles=frozenset({"radiologist"}),
        scopes=None,
        tenants=("default",),
        client="9a2f3c10-0000-4000-8000-0123456789ab",
    )


def test_a_program_of_entra_id() -> None:
    claims = {
        "aud": "5b1c9a60-0000-4000-8000-0123456789ab",
        "iss": ENTRA,
        "azp": "9a2f3c10-0000-4000-8000-0123456789ab",
        "azpacr": "2",
        "idtyp": "app",
        "oid": "22f0aa3d-0000-4000-8000-0123456789ab",
        "sub": "22f0aa3d-0000-4000-8000-0123456789ab",
        "roles": ["system"],
        "ver": "2.0",
    }
    found = principal_of(claims, issuer(ENTRA), BASE)
    assert found.name == "client:9a2f3c10-0000-4000-8000-0123456789ab@login.microsoftonline.com"
    assert found.scopes == frozenset()


AUTH0 = "https://hospital.eu.auth0.com/"


def test_a_user_of_auth0() -> None:
    claims = {
        "https://hospital.example.org/roles": ["nurse", "Board"],
        "https://hospital.example.org/tenants": "north",
        "iss": AUTH0,
        "sub": "auth0|64f0c0ffee0000000000beef",
        "aud": [BASE, "https://hospital.eu.auth0.com/userinfo"],
        "iat": 1789999700,
        "exp": 1790086100,
        "azp": "Zq4xY0000000000000000000000000AB",
        "scope": "openid profile offline_access user/Patient.rs",
    }
    where = issuer(
        AUTH0,
        roles=["https://hospital.example.org/roles"],
        tenants="https://hospital.example.org/tenants",
    )
    found = principal_of(claims, where, BASE)
    assert found.name == "user:auth0|64f0c0ffee0000000000beef@hospital.eu.auth0.com"
    assert found.roles == {"nurse"}
    assert found.tenants == ("north",)


def test_a_program_of_auth0() -> None:
    claims = {
        "iss": AUTH0,
        "sub": "Zq4xY0000000000000000000000000AB@clients",
        "aud": BASE,
        "azp": "Zq4xY0000000000000000000000000AB",
        "gty": "client-credentials",
        "scope": "system/*.rs",
    }
    found = principal_of(claims, issuer(AUTH0), BASE)
    assert found.name == "client:Zq4xY0000000000000000000000000AB@hospital.eu.auth0.com"


OKTA = "https://hospital.okta.com/oauth2/default"


def test_a_user_of_okta() -> None:
    claims = {
        "ver": 1,
        "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "iss": OKTA,
        "aud": BASE,
        "iat": 1789999700,
        "exp": 1790003300,
        "cid": "0oabcdefg0Hijklmn0h7",
        "uid": "00uabcdefg0Hijklmn0h7",
        "scp": ["openid", "patient/Observation.rs", "launch/patient"],
        "auth_time": 1789999600,
        "sub": "anna@hospital.example.org",
        "groups": ["Everyone", "Doctors"],
        "patient": "p-17",
    }
    found = principal_of(
        claims, issuer(OKTA, roles=["groups"], role_names={"Doctors": "doctor"}), BASE
    )
    assert found.name == "user:anna@hospital.example.org@hospital.okta.com"
    assert found.scopes == frozenset({"openid", "patient/Observation.rs", "launch/patient"})
    assert found.patient == "p-17"
    assert found.client == "0oabcdefg0Hijklmn0h7"
    assert found.roles == {"doctor"}


def test_a_program_of_okta() -> None:
    claims = {
        "iss": OKTA,
        "cid": "0oaclient",
        "sub": "0oaclient",
        "scp": ["system/Patient.rs"],
    }
    assert principal_of(claims, issuer(OKTA), BASE).name == "client:0oaclient@hospital.okta.com"


def test_a_user_of_google() -> None:
    claims = {
        "iss": "https://accounts.google.com",
        "azp": "1234987819200.apps.googleusercontent.com",
        "aud": "1234987819200.apps.googleusercontent.com",
        "sub": "10769150350006150715113082367",
        "email": "anna@hospital.example.org",
        "email_verified": True,
        "hd": "hospital.example.org",
        "iat": 1789999700,
        "exp": 1790003300,
    }
    found = principal_of(claims, issuer("https://accounts.google.com"), BASE)
    assert found.name == "user:10769150350006150715113082367@accounts.google.com"
    assert found.roles == frozenset()
    assert found.scopes == frozenset()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (f"{BASE}/Practitioner/1", "Practitioner/1"),
        ("Patient/p-1", "Patient/p-1"),
        ("https://other.example.org/fhir/Practitioner/1", ""),
        (f"{BASE}/Practitioner/1/_history/2", ""),
        (f"{BASE}/Observation/1", ""),
        (f"{BASE}/Practitioner/../Patient/1", ""),
        (17, ""),
    ],
)
def test_only_a_fhir_user_of_this_server_counts(given: Any, found: str) -> None:
    claims = {"sub": "a", "fhirUser": given}
    assert principal_of(claims, issuer(KEYCLOAK), BASE).fhir_user == found


def test_roles_that_are_not_ours_do_not_count() -> None:
    claims = {"sub": "a", "roles": ["king", "Doctor", 17, None, {"doctor": 1}]}
    assert principal_of(claims, issuer(KEYCLOAK), BASE).roles == frozenset()


def test_a_token_without_scopes_may_do_nothing_unless_it_is_said_that_roles_decide() -> None:
    claims = {"sub": "a", "roles": ["doctor"]}
    assert principal_of(claims, issuer(KEYCLOAK), BASE).scopes == frozenset()
    lenient = issuer(KEYCLOAK, scopes_required=False)
    assert principal_of(claims, lenient, BASE).scopes is None
    limited = claims | {"scope": "user/Patient.r"}
    assert principal_of(limited, lenient, BASE).scopes == frozenset({"user/Patient.r"})


def test_names_can_be_printed() -> None:
    found = principal_of({"sub": "a\nb\x1b" + "c" * 1000}, issuer(KEYCLOAK), BASE)
    assert found.name == "user:a?b?" + "c" * 196 + "@id.example.org"


def test_a_token_that_names_nobody_is_refused() -> None:
    with pytest.raises(Unauthorized):
        principal_of({}, issuer(KEYCLOAK), BASE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": []},
        {"audience": []},
        {"issuer": "id.example.org"},
        {"role_names": {"king": "king"}},
        {"surprise": 1},
    ],
)
def test_an_issuer_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Issuer.model_validate({"issuer": KEYCLOAK, "audience": BASE} | wrong)


def test_issuers_are_read_from_a_file_and_from_settings(tmp_path: Any) -> None:
    path = tmp_path / "issuers.yaml"
    path.write_text(
        f"issuers:\n- issuer: {OKTA}\n  audience: {BASE}\n  role_names: {{Doctors: doctor}}\n"
    )
    found = read_issuers(path, KEYCLOAK, BASE)
    assert [each.issuer for each in found] == [KEYCLOAK, OKTA]
    assert found[1].audience == (BASE,)
    assert found[1].role_names == {"Doctors": "doctor"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("issuers: 1", "expected a list"),
        ("- 1", "expected a list"),
        ("issuers: [{issuer: 'https://a.example'}]", "audience"),
        ("issuers: [{issuer: 'https://a.example', audience: b, colour: red}]", "colour"),
        (
            "issuers: [{issuer: 'https://a.example', audience: b},"
            " {issuer: 'https://a.example', audience: c}]",
            "twice",
        ),
        ("issuers: [", "issuers.yaml"),
    ],
)
def test_a_file_of_issuers_that_is_wrong_says_where(tmp_path: Any, text: str, told: str) -> None:
    path = tmp_path / "issuers.yaml"
    path.write_text(text)
    with pytest.raises(IssuersError, match=told):
        read_issuers(path)


def test_an_issuer_without_audience_is_refused() -> None:
    with pytest.raises(IssuersError, match="audience"):
        read_issuers(None, KEYCLOAK, None)
