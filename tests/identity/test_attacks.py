"""The attacks of RFC 9700 that an authorization server can resist, each by its section."""

import asyncio
import base64
import json
import secrets
import time
from typing import Any

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey

from fhir_server.identity.administration import Administration, Impossible, NewProgram
from tests.identity.smart import (
    BASE,
    PASSWORD,
    REDIRECT,
    ROOT,
    SCOPES,
    Smart,
    ended,
    form_of,
    part,
    returned,
)

EVIL = "https://evil.example.org/done"


async def test_a_stolen_code_is_worth_nothing_without_its_verifier(smart: Smart) -> None:
    """4.5 authorization code injection: PKCE binds the code to who asked for it."""
    code = await smart.code("p1")
    answer = await smart.exchange(code, code_verifier=secrets.token_urlsafe(48))
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "weaker",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
    ],
)
async def test_pkce_cannot_be_left_out_or_weakened(
    smart: Smart, weaker: dict[str, str | None]
) -> None:
    """4.8.2 PKCE downgrade."""
    assert returned(await smart.authorize(**weaker))["error"] == "invalid_request"


async def test_a_code_is_not_exchanged_without_a_verifier(smart: Smart) -> None:
    """4.8.2 PKCE downgrade at the token endpoint."""
    answer = await smart.exchange(await smart.code("p1"), code_verifier=None)
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "uri",
    [
        EVIL,
        REDIRECT + "/",
        REDIRECT + "?x=1",
        REDIRECT + "#x",
        REDIRECT + "/../evil",
        REDIRECT.upper(),
        REDIRECT.replace("https", "http"),
        REDIRECT.replace("app.", "app.evil."),
        REDIRECT.replace("app.", "user@app."),
        "https://app.example.org:8443/done",
        "javascript:alert(1)//",
        "//evil.example.org",
        'https://evil.example.org/"><script>',
        "",
        None,
    ],
)
async def test_users_are_only_sent_to_where_the_program_is_registered(
    smart: Smart, uri: str | None
) -> None:
    """4.1 insufficient redirect URI validation: letter by letter, and no redirect for an error."""
    answer = await smart.authorize(redirect_uri=uri)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "<script>" not in answer.text


async def test_the_redirect_uri_of_a_code_cannot_be_another(
    smart: Smart, administration: Administration
) -> None:
    """4.1 and 4.5: the code goes with the redirect URI that it was sent to."""
    code = await smart.code("p1")
    answer = await smart.exchange(code, redirect_uri=EVIL)
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.org/done",
        "https://*.example.org/done",
        "https://app.example.org/done#x",
        "javascript:alert(1)",
        "data:text/html,x",
        "/done",
        "myapp://done",
        "https://app.example.org;script-src *",
        "https://app.example.org/a b",
        "",
    ],
)
def test_redirect_uris_that_leak_are_not_registered(
    administration: Administration, uri: str
) -> None:
    """4.1, 2.6: no wildcards, nothing that others on the way can read, no scripts."""
    new = NewProgram(f"leaky{secrets.token_hex(4)}", SCOPES, "none", redirect_uris=[uri])
    with pytest.raises(Impossible):
        administration.add_program(new)


async def test_a_code_is_used_once_and_a_second_time_ends_what_it_gave(smart: Smart) -> None:
    """4.5 authorization code reuse."""
    code = await smart.code("p1")
    tokens = (await smart.exchange(code)).json()
    assert (await smart.read(tokens["access_token"])).status_code == 200
    again = await smart.exchange(code)
    assert again.json()["error"] == "invalid_grant"
    await ended(smart, tokens["access_token"])
    refreshed = await smart.refresh(tokens["refresh_token"])
    assert refreshed.json()["error"] == "invalid_grant"


async def test_of_many_at_once_one_exchanges_a_code(smart: Smart) -> None:
    """4.5: there is no moment between looking and using."""
    code = await smart.code("p1")
    answers = await asyncio.gather(*(smart.exchange(code) for _ in range(5)))
    assert sum(each.status_code == 200 for each in answers) <= 1


async def test_a_code_of_one_program_is_nothing_to_another(smart: Smart, other: str) -> None:
    """4.5.3: the code is bound to its client."""
    code = await smart.code("p1")
    answer = await smart.exchange(code, client_id=other)
    assert answer.json()["error"] == "invalid_grant"


async def test_a_refresh_token_used_twice_ends_everything(smart: Smart) -> None:
    """4.14.2 refresh token replay: rotation finds out, whoever of the two was the thief."""
    first = await smart.tokens()
    second = (await smart.refresh(first["refresh_token"])).json()
    replayed = await smart.refresh(first["refresh_token"])
    assert replayed.json()["error"] == "invalid_grant"
    assert (await smart.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"
    await ended(smart, second["access_token"])


async def test_a_refresh_token_of_one_program_is_nothing_to_another(
    smart: Smart, other: str
) -> None:
    """4.14.2: refresh tokens are bound to their client."""
    tokens = await smart.tokens()
    smart.client_id = other
    assert (await smart.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    smart.client_id = "app"
    assert (await smart.refresh(tokens["refresh_token"])).status_code == 200


async def test_every_response_says_whose_it_is(smart: Smart) -> None:
    """4.4 mix-up: `iss` in responses with codes and in those with errors (RFC 9207)."""
    assert returned(await smart.authorize(scope="email"))["iss"] == ROOT
    page = await smart.log_in(await smart.authorize())
    assert returned(await smart.decide(page, "deny"))["iss"] == ROOT
    assert returned(await smart.decide(page, "allow", patient="p1"))["iss"] == ROOT


async def test_a_token_for_another_server_is_not_asked_for_here(smart: Smart) -> None:
    """4.9.1, SMART: a false server that passes itself off as this one gets no token of ours."""
    for aud in (None, "https://evil.example.org/fhir", BASE + "/x"):
        assert returned(await smart.authorize(aud=aud))["error"] == "invalid_request"
    assert form_of(await smart.authorize(aud=BASE + "/")).action == "/auth/login"


@pytest.mark.parametrize("proof", ["", "0" * 64, "é"])
async def test_nobody_is_logged_in_by_another_page(smart: Smart, proof: str) -> None:
    """4.7 CSRF: nobody is logged in as somebody else by a form that was not ours."""
    form = form_of(await smart.authorize())
    form.fields["proof"] = proof
    answer = await smart.post(form, name="anna", password=PASSWORD)
    assert answer.status_code == 403
    assert "fhir-session" not in smart.browser.cookies


async def test_a_login_form_of_another_browser_is_refused(
    smart: Smart, root: httpx.ASGITransport
) -> None:
    """4.7 CSRF: the attacker's own form does not work in the victim's browser."""
    async with httpx.AsyncClient(transport=root, base_url=ROOT) as browser:
        form = form_of(await Smart(browser).authorize())
    await smart.authorize()
    answer = await smart.post(form, name="anna", password=PASSWORD)
    assert answer.status_code == 403


@pytest.mark.parametrize("proof", ["", "0" * 64])
async def test_consent_is_not_given_by_another_page(smart: Smart, proof: str) -> None:
    """4.7 CSRF at the consent."""
    form = form_of(await smart.log_in(await smart.authorize()))
    form.fields["proof"] = proof
    answer = await smart.post(form, decision="allow", patient="p1")
    assert answer.status_code == 403
    assert "location" not in answer.headers


async def test_forms_that_browsers_say_are_anothers_are_refused(smart: Smart) -> None:
    """4.7 CSRF: whatever else it proves."""
    form = form_of(await smart.log_in(await smart.authorize()))
    answer = await smart.browser.post(
        form.action,
        data=form.fields | {"decision": "allow", "patient": "p1"},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 400


async def test_cookies_are_out_of_reach(smart: Smart) -> None:
    """4.7: no script reads them, and no other site's form sends them."""
    page = await smart.authorize()
    form = form_of(page)
    answer = await smart.post(form, name="anna", password=PASSWORD)
    for each in (page, answer):
        for cookie in each.headers.get_list("set-cookie"):
            assert "HttpOnly" in cookie
            assert "samesite=lax" in cookie.lower()


async def test_a_session_begins_with_the_login(smart: Smart) -> None:
    """4.7: a cookie that somebody else has set is not the one that is logged in."""
    smart.browser.cookies.set("fhir-session", "known-to-the-attacker", domain="localhost.local")
    await smart.log_in(await smart.authorize())
    values = [each.value for each in smart.browser.cookies.jar if each.name == "fhir-session"]
    page = await smart.browser.get(
        "/auth/logout", headers={"Cookie": "fhir-session=known-to-the-attacker"}
    )
    assert "logged out" in page.text
    assert any(value != "known-to-the-attacker" for value in values)


@pytest.mark.parametrize(
    "request_",
    [
        "",
        "https://evil.example.org/",
        "//evil.example.org",
        f"response_type=code&client_id=app&redirect_uri={EVIL}",
        f"response_type=code&client_id=unknown&redirect_uri={EVIL}",
        f"response_type=token&client_id=app&redirect_uri={EVIL}",
    ],
)
async def test_the_login_sends_nobody_elsewhere(smart: Smart, request_: str) -> None:
    """4.11 open redirection: by the authorization server as the redirector."""
    form = form_of(await smart.authorize())
    form.fields["request"] = request_
    answer = await smart.post(form, name="anna", password=PASSWORD)
    assert "evil" not in answer.headers.get("location", "")
    assert answer.status_code == 400


async def test_an_invalid_request_sends_nobody_to_who_is_not_registered(smart: Smart) -> None:
    """4.11.2 open redirection: errors are told in a page."""
    for more in ({"client_id": "unknown"}, {"redirect_uri": EVIL, "scope": "email"}):
        answer = await smart.authorize(**more)
        assert answer.status_code == 400
        assert "location" not in answer.headers


async def test_nothing_leaks_by_referrer_or_cache(smart: Smart) -> None:
    """4.2 leakage by the Referer header, 4.3 by browser history and caches."""
    page = await smart.authorize()
    consent = await smart.log_in(page)
    sent = await smart.decide(consent, "allow", patient="p1")
    tokens = await smart.exchange(returned(sent)["code"])
    for each in (page, consent, sent, tokens):
        assert each.headers["referrer-policy"] == "no-referrer"
        assert "no-store" in each.headers["cache-control"]
    assert tokens.headers["pragma"] == "no-cache"


async def test_a_token_in_a_url_is_not_taken(smart: Smart) -> None:
    """4.3.2, 2.6: URLs are logged."""
    token = (await smart.tokens())["access_token"]
    smart.browser.cookies = httpx.Cookies()
    answer = await smart.browser.get(f"/fhir/Patient/p1?access_token={token}")
    assert answer.status_code == 401


async def test_pages_cannot_be_framed_and_run_no_scripts(smart: Smart) -> None:
    """4.16 clickjacking."""
    page = await smart.authorize()
    consent = await smart.log_in(page)
    for each in (page, consent, await smart.authorize(redirect_uri=EVIL)):
        policy = each.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert each.headers["x-frame-options"] == "DENY"


async def test_a_secret_is_needed_where_there_is_one(
    smart: Smart, administration: Administration
) -> None:
    """4.5, 2.5 client impersonation: a confidential program proves itself each time."""
    secret = administration.add_program(
        NewProgram("confidential", SCOPES, "client_secret_basic", redirect_uris=[REDIRECT])
    )
    assert secret is not None
    smart.client_id = "confidential"
    code = await smart.code("p1")
    assert (await smart.exchange(code)).json()["error"] == "invalid_client"
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": smart.verifier,
    }
    wrong = await smart.token(form, auth=("confidential", "wrong"))
    assert wrong.status_code == 401
    in_body = {"client_id": "confidential", "client_secret": secret}
    assert (await smart.token(form | in_body)).json()["error"] == "invalid_client"
    assert (await smart.token(form, auth=("confidential", secret))).status_code == 200


def test_no_program_has_the_name_of_a_user(administration: Administration) -> None:
    """4.15 client impersonating a resource owner: `sub` is one or the other."""
    with pytest.raises(Impossible):
        administration.add_program(NewProgram("anna", SCOPES, "none", redirect_uris=[REDIRECT]))
    with pytest.raises(Impossible):
        administration.add_user("app", PASSWORD, ["doctor"])


def forged(claims: dict[str, Any], algorithm: str, key: Any, **header: Any) -> str:
    head = {"alg": algorithm, "typ": "at+jwt", **header}
    return jwt.encode(head, claims, key, algorithms=[algorithm], default_type=None)


async def test_tokens_of_ours_cannot_be_forged_by_another_algorithm(smart: Smart) -> None:
    """RFC 8725 2.1, 3.1 algorithm confusion."""
    token = (await smart.tokens())["access_token"]
    header, body, _ = (json.loads(_decoded(each)) if n < 2 else each
                       for n, each in enumerate(token.split(".")))  # fmt: skip
    keys = (await smart.browser.get("/auth/jwks")).json()["keys"]
    public = ECKey.import_key(next(each for each in keys if each["kid"] == header["kid"]))
    pem = base64.urlsafe_b64encode(public.as_pem(private=False)).decode()
    hmac = jws.serialize_compact(
        {"alg": "HS256", "kid": header["kid"], "typ": "at+jwt"},
        json.dumps(body).encode(),
        OctKey.import_key(pem),
        algorithms=["HS256"],
    )
    none = f"{part({'alg': 'none', 'typ': 'at+jwt'})}.{part(body)}."
    for each in (hmac, none):
        assert (await smart.read(each)).status_code == 401


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("kid", ["../../dev/null", "' or 1=1 --", "", "http://evil.example.org"])
async def test_the_id_of_a_key_leads_nowhere(smart: Smart, kid: str) -> None:
    """RFC 8725 3.10 kid injection."""
    now = int(time.time())
    claims = {"iss": ROOT, "aud": BASE, "sub": "anna", "exp": now + 60, "iat": now, "jti": "x",
              "client_id": "app", "scope": "user/*.rs"}  # fmt: skip
    own = ECKey.generate_key("P-256", auto_kid=False)
    token = forged(claims, "ES256", own, kid=kid, jwk=own.as_dict(private=False))
    assert (await smart.read(token)).status_code == 401


async def test_passwords_are_not_taken_for_tokens(smart: Smart) -> None:
    """2.4: the resource owner password credentials grant is not offered."""
    answer = await smart.token(
        {"grant_type": "password", "username": "anna", "password": PASSWORD, "client_id": "app"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("type_", ["token", "id_token", "id_token token", "code token", "none"])
async def test_no_token_comes_from_the_authorization_endpoint(smart: Smart, type_: str) -> None:
    """2.1.2: the implicit and the hybrid grants are not offered."""
    assert returned(await smart.authorize(response_type=type_))["error"] == (
        "unsupported_response_type"
    )


async def test_a_form_is_not_sent_on(smart: Smart) -> None:
    """4.12: 307 would have the browser send the password to the program."""
    form = form_of(await smart.authorize())
    answer = await smart.post(form, name="anna", password=PASSWORD)
    assert answer.status_code == 303
    page = await smart.browser.get(answer.headers["location"])
    assert (await smart.decide(page, "allow", patient="p1")).status_code == 303


@pytest.mark.parametrize("name", ["response_type", "client_id", "redirect_uri", "scope", "state"])
async def test_a_parameter_given_twice_is_refused(smart: Smart, name: str) -> None:
    """RFC 6749 3.1: else two parties might read two things."""
    query = str(httpx.QueryParams(smart.request()))
    answer = await smart.browser.get(f"/auth/authorize?{query}&{name}=x")
    assert answer.status_code == 400


@pytest.mark.parametrize("text", ["\0", "\n", 'é\\"', "'", "<b>", "x" * 5000])
async def test_strange_parameters_are_no_failure(smart: Smart, text: str) -> None:
    for name in ("client_id", "redirect_uri", "scope", "state", "response_type", "nonce", "launch"):
        answer = await smart.authorize(**{name: text})
        assert answer.status_code in (200, 303, 400), name
        assert "<b>" not in answer.text
    for name in ("code", "client_id", "grant_type", "redirect_uri", "code_verifier"):
        answer = await smart.exchange("x", **{name: text})
        assert answer.status_code in (400, 401), name
