"""SMART launches, from the program's first request to its last token."""

import asyncio
import json
import time

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.identity.administration import Administration, NewProgram
from fhir_server.storage.migrate import migrate
from tests.identity.smart import BASE, REDIRECT, ROOT, SCOPES, Smart, form_of, labels_of, returned


async def test_a_standalone_launch_gives_a_token_about_the_chosen_patient(smart: Smart) -> None:
    page = await smart.log_in(await smart.authorize())
    found = await smart.decide(page, "find", find="chalmers")
    assert {"Peter Chalmers", "Ann Chalmers, 1974-12-25, 4711"} <= set(labels_of(found))
    answer = await smart.decide(found, "allow", patient="p2")
    back = returned(answer)
    assert back["state"] == "af0ifjsldkj"
    assert back["iss"] == ROOT
    tokens = (await smart.exchange(back["code"])).json()
    assert tokens["patient"] == "p2"
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 600
    assert tokens["need_patient_banner"] is True
    assert set(tokens["scope"].split()) == set(SCOPES.split())
    assert (await smart.read(tokens["access_token"], "Patient/p2")).status_code == 200


async def test_a_patient_is_found_by_number(smart: Smart) -> None:
    page = await smart.log_in(await smart.authorize())
    found = await smart.decide(page, "find", find="4711")
    assert "Ann Chalmers, 1974-12-25, 4711" in labels_of(found)


async def test_nothing_is_allowed_before_a_patient_is_chosen(smart: Smart) -> None:
    page = await smart.log_in(await smart.authorize())
    for patient in ("", "p3", "../p1"):
        again = await smart.decide(page, "allow", patient=patient)
        assert "Choose a patient" in again.text


async def test_a_patient_is_their_own_context(smart: Smart) -> None:
    page = await smart.log_in(await smart.authorize(), name="peter")
    assert "Find" not in page.text
    back = returned(await smart.decide(page, "allow"))
    assert (await smart.exchange(back["code"])).json()["patient"] == "p1"


async def test_a_user_grants_less_than_is_asked_for(smart: Smart) -> None:
    page = await smart.log_in(await smart.authorize())
    form = form_of(page)
    form.fields = {name: value for name, value in form.fields.items() if "offline" not in name}
    back = returned(await smart.post(form, decision="allow", patient="p1"))
    tokens = (await smart.exchange(back["code"])).json()
    assert "offline_access" not in tokens["scope"]
    assert "refresh_token" not in tokens


async def test_what_a_user_does_not_grant_stays_so_while_a_patient_is_looked_for(
    smart: Smart,
) -> None:
    form = form_of(await smart.log_in(await smart.authorize()))
    form.fields = {name: value for name, value in form.fields.items() if "user/" not in name}
    found = form_of(await smart.post(form, decision="find", find="chalmers"))
    assert "scope:patient/*.rs" in found.fields
    assert "scope:user/*.rs" not in found.fields


async def test_a_user_denies(smart: Smart) -> None:
    page = await smart.log_in(await smart.authorize())
    back = returned(await smart.decide(page, "deny"))
    assert back["error"] == "access_denied"
    assert back["state"] == "af0ifjsldkj"
    assert back["iss"] == ROOT
    assert "code" not in back


async def test_a_program_gets_no_more_than_it_may(smart: Smart) -> None:
    tokens = await smart.tokens(scope="patient/*.cruds system/*.rs launch/patient email")
    assert tokens["scope"].split() == ["patient/*.rs", "launch/patient"]


async def test_scopes_of_version_1_are_granted_in_version_1(smart: Smart) -> None:
    tokens = await smart.tokens(scope="launch/patient patient/Observation.read user/Patient.write")
    assert tokens["scope"] == "launch/patient patient/Observation.read"


async def test_a_program_that_gets_nothing_is_told(smart: Smart) -> None:
    for scope in ("system/*.rs", "email", ""):
        back = returned(await smart.authorize(scope=scope))
        assert back["error"] == "invalid_scope", scope


async def test_the_second_program_needs_no_password(smart: Smart) -> None:
    await smart.tokens()
    page = await smart.authorize()
    assert form_of(page).action == "/auth/decide"


async def test_an_ehr_launch_brings_its_patient_and_encounter(
    smart: Smart, administration: Administration
) -> None:
    administration.add_program(
        NewProgram(
            "viewer",
            "openid launch patient/*.rs online_access",
            "none",
            redirect_uris=[REDIRECT],
            launch_url="https://app.example.org/launch",
            trusted=True,
        )
    )
    url = httpx.URL(administration.launch("viewer", BASE, "p1", "e1", "anna"))
    assert str(url).startswith("https://app.example.org/launch?")
    assert url.params["iss"] == BASE
    smart.client_id = "viewer"
    more = {"launch": url.params["launch"], "scope": "openid launch patient/*.rs online_access"}
    tokens = await smart.tokens("", **more)
    assert tokens["patient"] == "p1"
    assert tokens["encounter"] == "e1"
    assert (await smart.read(tokens["access_token"])).status_code == 200
    again = returned(await smart.authorize(**more))
    assert again["error"] == "invalid_request", "a launch is used once"


async def test_a_launch_of_another_program_is_refused(
    smart: Smart, administration: Administration
) -> None:
    url = httpx.URL(administration.launch("viewer", BASE, "p1"))
    back = returned(await smart.authorize(launch=url.params["launch"]))
    assert back["error"] == "invalid_request"


async def test_a_launch_for_another_user_is_refused(
    smart: Smart, administration: Administration
) -> None:
    url = httpx.URL(administration.launch("viewer", BASE, "p1", user="peter"))
    smart.client_id = "viewer"
    page = await smart.authorize(launch=url.params["launch"], scope="launch patient/*.rs")
    back = returned(await smart.log_in(page))
    assert back["error"] == "invalid_request"


async def test_an_id_token_says_who_the_user_is(smart: Smart) -> None:
    tokens = await smart.tokens(nonce="n-0S6_WzA2Mj")
    keys = KeySet.import_key_set((await smart.browser.get("/auth/jwks")).json())
    found = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"])
    now = time.time()
    claims = found.claims
    assert claims["iss"] == ROOT
    assert claims["aud"] == ["app"]
    assert claims["sub"] == "anna"
    assert claims["nonce"] == "n-0S6_WzA2Mj"
    assert claims["fhirUser"] == f"{BASE}/Practitioner/anna"
    assert now - 60 < claims["auth_time"] <= claims["iat"] <= now < claims["exp"]


async def test_an_id_token_is_no_access_token(smart: Smart) -> None:
    tokens = await smart.tokens()
    assert (await smart.read(tokens["id_token"])).status_code == 401


async def test_what_is_published_of_the_keys_is_public(smart: Smart) -> None:
    await smart.tokens()
    for key in (await smart.browser.get("/auth/jwks")).json()["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)


async def test_refresh_tokens_give_new_ones(smart: Smart) -> None:
    first = await smart.tokens()
    second = (await smart.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["patient"] == "p1"
    assert second["scope"] == first["scope"]
    assert (await smart.read(second["access_token"])).status_code == 200


async def test_a_refresh_may_ask_for_less_but_not_for_more(smart: Smart) -> None:
    first = await smart.tokens()
    less = (await smart.refresh(first["refresh_token"], scope="patient/*.rs")).json()
    assert less["scope"] == "patient/*.rs"
    more = await smart.refresh(less["refresh_token"], scope="user/*.cruds")
    assert more.json()["error"] == "invalid_scope"


async def test_a_program_without_lasting_access_gets_no_refresh_token(smart: Smart) -> None:
    assert "refresh_token" not in await smart.tokens(scope="launch/patient patient/*.rs")


@pytest.mark.parametrize("below", ["/fhir", ""])
async def test_programs_find_their_way_without_a_token(smart: Smart, below: str) -> None:
    answer = await smart.browser.get(f"{below}/.well-known/smart-configuration")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["issuer"] == ROOT
    assert found["authorization_endpoint"] == f"{ROOT}/auth/authorize"
    assert found["token_endpoint"] == f"{ROOT}/auth/token"
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert {"authorization_code", "client_credentials"} <= set(found["grant_types_supported"])
    assert "private_key_jwt" in found["token_endpoint_auth_methods_supported"]
    algorithms = found["token_endpoint_auth_signing_alg_values_supported"]
    assert algorithms == ["RS384", "ES384"]
    assert {"launch-ehr", "launch-standalone", "permission-v2"} <= set(found["capabilities"])


@pytest.mark.parametrize("name", ["openid-configuration", "oauth-authorization-server"])
async def test_openid_clients_find_their_way(smart: Smart, name: str) -> None:
    found = (await smart.browser.get(f"/.well-known/{name}")).json()
    assert found["issuer"] == ROOT
    assert found["jwks_uri"] == f"{ROOT}/auth/jwks"
    assert found["id_token_signing_alg_values_supported"] == ["RS256"]
    assert found["authorization_response_iss_parameter_supported"] is True


async def test_the_capability_statement_says_where_tokens_are_had(smart: Smart) -> None:
    found = (await smart.browser.get("/fhir/metadata")).json()["rest"][0]["security"]
    assert found["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    uris = {each["url"]: each["valueUri"] for each in found["extension"][0]["extension"]}
    assert uris["authorize"] == f"{ROOT}/auth/authorize"
    assert uris["token"] == f"{ROOT}/auth/token"


async def test_nobody_gets_in_without_a_token(smart: Smart) -> None:
    answer = await smart.browser.get("/fhir/Patient")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["issue"][0]["code"] == "login"


async def test_a_cookie_opens_no_door_of_fhir(smart: Smart) -> None:
    await smart.tokens()
    assert (await smart.browser.get("/fhir/Patient")).status_code == 401


async def test_the_right_to_log_in_again_may_be_demanded(smart: Smart) -> None:
    await smart.tokens()
    page = await smart.authorize(prompt="login")
    assert form_of(page).action == "/auth/login"
    page = await smart.log_in(page)
    assert form_of(page).action == "/auth/decide"
    assert form_of(await smart.authorize(max_age="0")).action in ("/auth/login", "/auth/decide")


async def test_a_program_that_wants_no_page_is_told_what_is_missing(smart: Smart) -> None:
    assert returned(await smart.authorize(prompt="none"))["error"] == "login_required"
    await smart.tokens()
    assert returned(await smart.authorize(prompt="none"))["error"] == "consent_required"


async def test_introspection_and_what_smart_adds_to_it(
    smart: Smart, administration: Administration
) -> None:
    secret = administration.add_program(
        NewProgram("resource-server", "system/*.rs", "client_secret_basic", ["client_credentials"])
    )
    assert secret is not None
    tokens = await smart.tokens()

    async def asked(token: str) -> dict[str, object]:
        answer = await smart.browser.post(
            "/auth/introspect", data={"token": token}, auth=("resource-server", secret or "")
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    found = await asked(tokens["access_token"])
    assert found["active"] is True
    assert found["sub"] == "anna"
    assert found["client_id"] == "app"
    assert found["patient"] == "p1"
    assert found["fhirUser"] == f"{BASE}/Practitioner/anna"
    assert await asked("unknown") == {"active": False}
    await smart.browser.post(
        "/auth/revoke", data={"token": tokens["refresh_token"], "client_id": "app"}
    )
    assert await asked(tokens["access_token"]) == {"active": False}
    nobody = await smart.browser.post("/auth/introspect", data={"token": "x", "client_id": "app"})
    assert nobody.status_code in (400, 401)
    assert json.loads(nobody.text)["error"] == "invalid_client"


NORTH = f"{ROOT}/t/north/fhir"


@pytest.fixture
async def in_two_territories(smart: Smart, administration: Administration, database: str) -> None:
    migrate(database, "north")
    administration.change_tenants("anna", ["default", "north"])
    for _ in range(200):
        health = (await smart.browser.get("/health/ready")).json()
        if (health.get("territories"), health.get("territories-waiting")) == (2, 0):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the second territory is not served: {health}")


@pytest.mark.usefixtures("in_two_territories")
async def test_a_program_names_the_territory_by_its_base_url(smart: Smart) -> None:
    page = await smart.log_in(await smart.authorize(aud=NORTH))
    found = await smart.decide(page, "find", find="chalmers")
    assert "Nobody of that name" in found.text, "patients of the first territory do not show"
    tokens = await smart.tokens("", aud=NORTH, scope="user/*.rs")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    there = await smart.browser.get("/t/north/fhir/Patient", headers=headers)
    assert there.status_code == 200, there.text
    here = await smart.read(tokens["access_token"])
    assert here.status_code == 404, "without a path it is the territory of the token"
    other = await smart.browser.get("/t/default/fhir/Patient", headers=headers)
    assert other.status_code == 403


@pytest.mark.usefixtures("in_two_territories")
async def test_a_token_about_a_patient_is_for_their_territory(smart: Smart) -> None:
    tokens = await smart.tokens()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    other = await smart.browser.get("/t/north/fhir/Patient", headers=headers)
    assert other.status_code == 403
    free = await smart.tokens("", scope="user/*.rs")
    headers = {"Authorization": f"Bearer {free['access_token']}"}
    assert (await smart.browser.get("/t/north/fhir/Patient", headers=headers)).status_code == 200


async def test_a_territory_that_is_not_the_users_is_denied(
    smart: Smart, administration: Administration
) -> None:
    administration.change_tenants("anna", ["default"])
    for name in ("north", "nowhere"):
        page = await smart.authorize(aud=f"{ROOT}/t/{name}/fhir")
        answer = await smart.log_in(page) if page.status_code == 200 else page
        assert returned(answer)["error"] == "access_denied"


async def test_the_way_is_told_in_each_territory(smart: Smart) -> None:
    answer = await smart.browser.get("/t/north/fhir/.well-known/smart-configuration")
    assert answer.json()["issuer"] == ROOT


async def test_a_program_of_one_territory_is_used_in_no_other(
    smart: Smart, administration: Administration
) -> None:
    administration.add_program(
        NewProgram("southern", SCOPES, "none", redirect_uris=[REDIRECT], tenants=["south"])
    )
    smart.client_id = "southern"
    answer = await smart.log_in(await smart.authorize())
    assert returned(answer)["error"] == "access_denied"


@pytest.mark.usefixtures("in_two_territories")
async def test_an_ehr_launches_in_the_territory_of_the_patient(
    smart: Smart, administration: Administration
) -> None:
    url = httpx.URL(administration.launch("viewer", NORTH, "p9", tenant="north"))
    assert url.params["iss"] == NORTH
    smart.client_id = "viewer"
    tokens = await smart.tokens(
        "", aud=NORTH, launch=url.params["launch"], scope="launch patient/*.rs"
    )
    assert tokens["patient"] == "p9"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    for path, status in (("/t/north/fhir/Patient/p9", 404), ("/t/default/fhir/Patient/p9", 403)):
        assert (await smart.browser.get(path, headers=headers)).status_code == status


async def test_an_ehr_asks_for_a_launch_itself(
    smart: Smart, administration: Administration
) -> None:
    secret = administration.add_program(
        NewProgram("ehr", "system/*.rs", "client_secret_basic", ["client_credentials"])
    )
    assert secret is not None
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    token = (await smart.token(form, auth=("ehr", secret))).json()["access_token"]
    asked = {"client": "viewer", "patient": "p2", "user": "anna"}

    async def ask(token: str, **more: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await smart.browser.post("/auth/launch", data=asked | more, headers=headers)

    url = httpx.URL((await ask(token)).json()["url"])
    smart.client_id = "viewer"
    tokens = await smart.tokens("", launch=url.params["launch"], scope="launch patient/*.rs")
    assert tokens["patient"] == "p2"
    assert (await ask(tokens["access_token"])).status_code == 403, "a doctor makes no launches"
    assert (await ask("nonsense")).status_code == 401
    for wrong in ({"client": "unknown"}, {"patient": "../p1"}, {"patient": ""}, {"user": "nobody"}):
        assert (await ask(token, **wrong)).status_code == 400, wrong
    nobody = await smart.browser.post("/auth/launch", data=asked)
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"].startswith("Bearer")
