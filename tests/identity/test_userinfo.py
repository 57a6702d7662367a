"""What a program may know of its user (OpenID Connect Core 1.0 5.3)."""

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.identity.administration import Administration, NewProgram
from tests.identity.smart import BASE, REDIRECT, ROOT, Smart, form_of

SCOPES = "openid fhirUser profile user/*.rs"
WHO = {
    "sub": "anna",
    "name": "Anna Arzt",
    "preferred_username": "anna",
    "fhirUser": f"{BASE}/Practitioner/anna",
    "profile": f"{BASE}/Practitioner/anna",
}


@pytest.fixture(scope="module")
def openid(administration: Administration) -> str:
    """A program that may know all of its user."""
    new = NewProgram("openid", SCOPES, "none", redirect_uris=[REDIRECT], trusted=True)
    administration.add_program(new)
    return new.id


async def told(smart: Smart, token: str, method: str = "GET") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return await smart.browser.request(method, "/auth/userinfo", headers=headers)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_program_is_told_who_its_user_is(smart: Smart, openid: str, method: str) -> None:
    smart.client_id = openid
    tokens = await smart.tokens("", scope=SCOPES)
    answer = await told(smart, tokens["access_token"], method)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == WHO


async def test_the_id_token_says_the_same(smart: Smart, openid: str) -> None:
    smart.client_id = openid
    tokens = await smart.tokens("", scope=SCOPES)
    keys = KeySet.import_key_set((await smart.browser.get("/auth/jwks")).json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims
    assert {name: claims[name] for name in WHO} == WHO


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid user/*.rs", {"sub"}),
        ("openid fhirUser", {"sub", "fhirUser"}),
        ("openid profile", {"sub", "name", "preferred_username", "profile"}),
    ],
)
async def test_a_program_is_told_no_more_than_was_granted(
    smart: Smart, openid: str, scope: str, names: set[str]
) -> None:
    smart.client_id = openid
    tokens = await smart.tokens("", scope=scope)
    assert (await told(smart, tokens["access_token"])).json().keys() == names


async def test_a_token_without_openid_is_not_enough(smart: Smart, openid: str) -> None:
    smart.client_id = openid
    tokens = await smart.tokens("", scope="profile user/*.rs")
    answer = await told(smart, tokens["access_token"])
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_a_program_itself_is_no_user(smart: Smart, administration: Administration) -> None:
    new = NewProgram("itself", "system/*.rs", "client_secret_basic", ["client_credentials"])
    secret = administration.add_program(new)
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    token = (await smart.token(form, auth=("itself", secret))).json()["access_token"]
    assert (await told(smart, token)).status_code == 403


async def test_what_is_no_good_access_token_tells_nothing(smart: Smart, openid: str) -> None:
    smart.client_id = openid
    tokens = await smart.tokens("", scope=SCOPES)
    access = tokens["access_token"]
    for token in (tokens["id_token"], access[:-4] + "AAAA", "nonsense", "a.b.c"):
        answer = await told(smart, token)
        assert answer.status_code == 401, token
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "anna" not in answer.text
    in_body = await smart.browser.post("/auth/userinfo", data={"access_token": access})
    assert in_body.status_code == 401, "tokens are taken from the header alone"


async def test_nobody_is_told_once_the_user_has_logged_out(smart: Smart, openid: str) -> None:
    smart.client_id = openid
    token = (await smart.tokens("", scope=SCOPES))["access_token"]
    await smart.post(form_of(await smart.browser.get("/auth/logout")))
    assert (await told(smart, token)).status_code == 401


async def test_openid_clients_find_it(smart: Smart) -> None:
    found = (await smart.browser.get("/.well-known/openid-configuration")).json()
    assert found["userinfo_endpoint"] == f"{ROOT}/auth/userinfo"
    assert set(WHO) <= set(found["claims_supported"])
