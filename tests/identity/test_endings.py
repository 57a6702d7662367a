"""Guessing, and how sessions, tokens, users, programs and keys come to their end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx

from fhir_server.identity.administration import Administration
from fhir_server.storage.identity import people
from fhir_server.storage.identity.connections import Connections, tell
from tests.identity.smart import (
    ROOT,
    Smart,
    ended,
    form_of,
)


@contextmanager
def wrong_before(connections: Connections, name: str) -> Iterator[None]:
    yield
    with connections.transaction() as connection:
        people.forgive(connection, f"user:{name}")


async def test_passwords_are_not_guessed_for_ever(
    smart: Smart, administration: Administration, connections: Connections
) -> None:
    """4.13, NIST SP 800-63B 3.2.2: after five wrong ones even the right one has to wait."""
    with wrong_before(connections, "peter"):
        for _ in range(5):
            page = await smart.log_in(await smart.authorize(), "peter", "wrong-Password-1")
            assert page.status_code == 403
        page = await smart.log_in(await smart.authorize(), "peter")
        assert page.status_code == 403
    page = await smart.log_in(await smart.authorize(), "peter")
    assert page.status_code == 200


async def test_nobody_learns_who_there_is(smart: Smart, connections: Connections) -> None:
    """Users are not enumerated: the same words for a wrong name and a wrong password."""
    with wrong_before(connections, "anna"), wrong_before(connections, "nobody"):
        one = await smart.log_in(await smart.authorize(), "nobody", "wrong-Password-1")
        other = await smart.log_in(await smart.authorize(), "anna", "wrong-Password-1")
    assert one.status_code == other.status_code == 403
    assert one.text.replace("nobody", "anna") == other.text


async def test_sessions_end_after_half_an_hour_of_quiet(
    smart: Smart, connections: Connections
) -> None:
    """SEC-1: the cookie, the token and online access end together."""
    tokens = await smart.tokens(scope="launch/patient patient/*.rs")
    with connections.transaction() as connection:
        connection.execute(
            "update fhir_server.identity_session set seen = seen - %s", (timedelta(minutes=31),)
        )
        tell(connection)
    await ended(smart, tokens["access_token"])
    assert form_of(await smart.authorize()).action == "/auth/login"


async def test_use_keeps_a_session_alive(smart: Smart, connections: Connections) -> None:
    tokens = await smart.tokens(scope="launch/patient patient/*.rs")
    with connections.transaction() as connection:
        connection.execute(
            "update fhir_server.identity_session set seen = seen - %s", (timedelta(minutes=29),)
        )
        tell(connection)
    await asyncio.sleep(0.3)
    assert (await smart.read(tokens["access_token"])).status_code == 200
    with connections.transaction() as connection:
        row = connection.execute(
            "select max(seen) > now() - interval '1 minute' from fhir_server.identity_session"
        ).fetchone()
    assert row == (True,)


async def test_logging_out_ends_what_programs_do(smart: Smart) -> None:
    online = await smart.tokens(scope="launch/patient patient/*.rs")
    offline = await smart.tokens()
    page = await smart.browser.get("/auth/logout")
    assert (await smart.post(form_of(page))).status_code == 200
    await ended(smart, online["access_token"])
    assert (await smart.read(offline["access_token"])).status_code == 200
    assert form_of(await smart.authorize()).action == "/auth/login"


async def test_nobody_is_logged_out_by_another_page(smart: Smart) -> None:
    await smart.tokens()
    assert (await smart.browser.post("/auth/logout", data={"proof": "x"})).status_code == 403
    assert form_of(await smart.authorize()).action == "/auth/decide"


async def test_whoever_is_disabled_is_out_at_once(
    smart: Smart, administration: Administration
) -> None:
    tokens = await smart.tokens()
    administration.disable_user("anna", disabled=True)
    try:
        await ended(smart, tokens["access_token"])
        assert (await smart.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
        page = await smart.log_in(await smart.authorize())
        assert page.status_code == 403
    finally:
        administration.disable_user("anna", disabled=False)
        administration.unlock("anna")


async def test_a_disabled_program_is_out_at_once(
    smart: Smart, administration: Administration
) -> None:
    tokens = await smart.tokens()
    administration.disable_program("app", disabled=True)
    try:
        await ended(smart, tokens["access_token"])
        answer = await smart.refresh(tokens["refresh_token"])
        assert answer.json()["error"] == "invalid_client"
    finally:
        administration.disable_program("app", disabled=False)


async def test_a_revoked_token_is_out_at_once(smart: Smart, other: str) -> None:
    """RFC 7009: an access token alone, a refresh token with everything."""
    tokens = await smart.tokens()

    async def revoke(token: str, client: str = "app") -> None:
        form = {"token": token, "client_id": client}
        answer = await smart.browser.post("/auth/revoke", data=form)
        assert answer.status_code == 200, answer.text

    await revoke(tokens["access_token"], other)
    assert (await smart.read(tokens["access_token"])).status_code == 200
    await revoke(tokens["access_token"])
    await ended(smart, tokens["access_token"])
    fresh = (await smart.refresh(tokens["refresh_token"])).json()
    await revoke(fresh["refresh_token"])
    await ended(smart, fresh["access_token"])
    await revoke("unknown")


async def test_replaced_keys_end_every_token(smart: Smart, administration: Administration) -> None:
    tokens = await smart.tokens()
    administration.replace_keys()
    await ended(smart, tokens["access_token"])
    fresh = (await smart.refresh(tokens["refresh_token"])).json()
    assert (await smart.read(fresh["access_token"])).status_code == 200


async def test_many_logins_at_once_take_turns_and_leave_others_alone(
    smart: Smart, root: httpx.ASGITransport, connections: Connections
) -> None:
    """Passwords cost much to look at: whoever floods the login page does not stop the rest."""
    token = (await smart.tokens())["access_token"]
    form = form_of(await smart.authorize(prompt="login"))
    with wrong_before(connections, "flood"):
        flood = [
            asyncio.create_task(smart.post(form, name="flood", password="wrong-Password-1"))
            for _ in range(70)
        ]
        await asyncio.sleep(0.05)
        async with httpx.AsyncClient(transport=root, base_url=ROOT) as other:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await asyncio.wait_for(other.get("/fhir/Patient/p1", headers=headers), 10)
        assert answer.status_code == 200
        statuses = {each.status_code for each in await asyncio.gather(*flood)}
    assert statuses == {403, 503}
