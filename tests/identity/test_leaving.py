"""Logging out where a program asks for it (OpenID Connect RP-Initiated Logout 1.0)."""

from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from fhir_server.identity.administration import Administration
from tests.identity.smart import REDIRECT, ROOT, Smart, ended, form_of

SCOPE = "openid launch/patient patient/*.rs"


async def asked(smart: Smart, **given: str) -> httpx.Response:
    return await smart.browser.get(f"/auth/logout?{urlencode(given)}")


async def test_a_program_logs_its_user_out(smart: Smart) -> None:
    tokens = await smart.tokens(scope=SCOPE)
    back = await asked(
        smart,
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri=REDIRECT,
        state="a b&c",
        ui_locales="de",
    )
    assert back.status_code == 303
    assert back.headers["location"] == f"{REDIRECT}?state=a+b%26c"
    await ended(smart, tokens["access_token"])
    assert form_of(await smart.authorize()).action == "/auth/login"


async def test_without_an_id_token_the_user_is_asked_and_not_sent_back(smart: Smart) -> None:
    """4: whoever links here from elsewhere logs nobody out, and sends nobody anywhere."""
    await smart.tokens(scope=SCOPE)
    page = await asked(smart, client_id="app", post_logout_redirect_uri=REDIRECT)
    assert form_of(page).action == "/auth/logout"
    assert form_of(await smart.authorize()).action == "/auth/decide", "still logged in"
    done = await smart.post(form_of(page))
    assert done.status_code == 200
    assert "logged out" in done.text
    assert form_of(await smart.authorize()).action == "/auth/login"


async def test_the_id_token_of_another_login_has_the_user_asked(
    smart: Smart, administration: Administration
) -> None:
    """2: it is another session; the program is known all the same, so the way back is, too."""
    old = (await smart.tokens("", scope="openid user/*.rs"))["id_token"]
    await smart.post(form_of(await asked(smart)))
    page = await smart.log_in(await smart.authorize(scope=SCOPE), "peter")
    assert form_of(page).action == "/auth/decide"
    page = await asked(smart, id_token_hint=old, post_logout_redirect_uri=REDIRECT)
    assert "peter" in page.text
    assert "form-action 'self' https://app.example.org" in page.headers["content-security-policy"]
    assert form_of(await smart.authorize()).action == "/auth/decide", "still logged in"
    back = await smart.post(form_of(page))
    assert (back.status_code, back.headers["location"]) == (303, REDIRECT)


async def test_whoever_is_logged_out_already_is_sent_back(smart: Smart) -> None:
    hint = (await smart.tokens(scope=SCOPE))["id_token"]
    for _ in range(2):
        back = await asked(smart, id_token_hint=hint, post_logout_redirect_uri=REDIRECT)
        assert back.headers["location"] == REDIRECT


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example.org/",
        f"{REDIRECT}/",
        f"{REDIRECT}?x=1",
        "//app.example.org/done",
        "javascript:alert(1)",
    ],
)
async def test_nobody_is_sent_where_the_program_is_not(smart: Smart, uri: str) -> None:
    """3: compared letter by letter with what the program is registered with."""
    hint = (await smart.tokens(scope=SCOPE))["id_token"]
    answer = await asked(smart, id_token_hint=hint, post_logout_redirect_uri=uri)
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert "logged out" in answer.text


async def test_a_token_that_is_no_id_token_of_ours_logs_nobody_out(smart: Smart) -> None:
    tokens = await smart.tokens(scope=SCOPE)
    claims = {"iss": ROOT, "aud": ["app"], "sub": "anna", "auth_time": 0}
    forged = jwt.encode({"alg": "RS256"}, claims, RSAKey.generate_key(2048))
    unsigned = tokens["id_token"].rpartition(".")[0] + "."
    for hint in (forged, unsigned, tokens["access_token"], "nonsense", "a.b.c", ""):
        page = await asked(smart, id_token_hint=hint, post_logout_redirect_uri=REDIRECT)
        assert form_of(page).action == "/auth/logout", hint
        assert "app.example.org" not in page.headers["content-security-policy"], hint


async def test_an_id_token_of_another_program_logs_nobody_out(smart: Smart, other: str) -> None:
    """2: `client_id` and the audience of the ID token have to agree."""
    hint = (await smart.tokens(scope=SCOPE))["id_token"]
    page = await asked(
        smart, id_token_hint=hint, client_id=other, post_logout_redirect_uri=REDIRECT
    )
    assert form_of(page).action == "/auth/logout"
    assert "location" not in (await smart.post(form_of(page))).headers


async def test_a_program_that_is_disabled_gets_nobody_back(
    smart: Smart, administration: Administration
) -> None:
    hint = (await smart.tokens(scope=SCOPE))["id_token"]
    administration.disable_program("app", disabled=True)
    try:
        answer = await asked(smart, id_token_hint=hint, post_logout_redirect_uri=REDIRECT)
    finally:
        administration.disable_program("app", disabled=False)
    assert "location" not in answer.headers


async def test_a_program_may_ask_by_a_form(smart: Smart) -> None:
    """2: GET and POST; browsers bring the cookie of the session with the GET that follows."""
    tokens = await smart.tokens(scope=SCOPE)
    given = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": REDIRECT}
    answer = await smart.browser.post("/auth/logout", data=given | {"other": "x"})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/auth/logout?{urlencode(given)}"
    back = await smart.browser.get(answer.headers["location"])
    assert back.headers["location"] == REDIRECT
