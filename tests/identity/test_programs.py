"""Programs that ask for themselves: keys, assertions, scopes (SMART backend-services)."""

import asyncio
import secrets
import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from fhir_server.identity.administration import Administration, NewProgram
from tests.identity.conftest import KEYS, public_keys
from tests.identity.provider import ec_key
from tests.identity.smart import (
    ROOT,
    Smart,
    part,
)


def backend(administration: Administration) -> str:
    id_ = f"backend{secrets.token_hex(4)}"
    administration.add_program(
        NewProgram(
            id_, "system/*.rs", "private_key_jwt", ["client_credentials"], keys=public_keys()
        )
    )
    return id_


def assertion(client: str, algorithm: str = "RS384", key: Any = None, **more: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": client,
        "sub": client,
        "aud": f"{ROOT}/auth/token",
        "exp": now + 240,
        "iat": now,
        "jti": secrets.token_urlsafe(8),
        **more,
    }
    key = key or KEYS[algorithm]
    header = {"alg": algorithm, "kid": key.kid or "backend-rsa"}
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(header, given, key, algorithms=[algorithm])


async def asked_by(smart: Smart, text: str, scope: str = "system/*.rs") -> httpx.Response:
    return await smart.token(
        {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": text,
        }
    )


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
async def test_a_program_proves_itself_with_its_key(
    smart: Smart, administration: Administration, algorithm: str
) -> None:
    """SMART backend services."""
    answer = await asked_by(smart, assertion(backend(administration), algorithm))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["scope"] == "system/*.rs"
    assert "refresh_token" not in found
    assert "patient" not in found
    assert (await smart.read(found["access_token"])).status_code == 200


async def test_an_assertion_is_used_once(smart: Smart, administration: Administration) -> None:
    """RFC 7523 3: replay of `jti`."""
    text = assertion(backend(administration))
    assert (await asked_by(smart, text)).status_code == 200
    assert (await asked_by(smart, text)).json()["error"] == "invalid_client"


async def test_of_the_same_assertion_at_once_one_is_taken(
    smart: Smart, administration: Administration
) -> None:
    text = assertion(backend(administration))
    answers = await asyncio.gather(*(asked_by(smart, text) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [200, 400, 400, 400, 400]


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://evil.example.org/token"},
        {"aud": None},
        {"exp": -1_000_000_000},
        {"exp": 3600},
        {"exp": None},
        {"iss": "app"},
        {"sub": "app"},
        {"sub": "unknown"},
        {"sub": None},
        {"jti": None},
        {"jti": 17},
        {"jti": "x" * 1000},
        {"nbf": 600},
    ],
)
async def test_an_assertion_that_is_not_sound_proves_nothing(
    smart: Smart, administration: Administration, wrong: dict[str, Any]
) -> None:
    # Times are seconds from now, and not from when the tests were collected.
    now = int(time.time())
    times = {name: now + wrong[name] for name in ("exp", "nbf") if wrong.get(name)}
    text = assertion(backend(administration), **wrong | times)
    answer = await asked_by(smart, text)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == "invalid_client"


async def test_an_assertion_with_anothers_key_proves_nothing(
    smart: Smart, administration: Administration
) -> None:
    client = backend(administration)
    own = ec_key("backend-ec", "P-384")
    weak = OctKey.generate_key(256)
    for text in (
        assertion(client, "ES384", own),
        assertion(client, "HS256", weak),
        "x.y.z",
        f"{part({'alg': 'none'})}.{part({'iss': client, 'sub': client})}.",
    ):
        answer = await asked_by(smart, text)
        assert answer.json()["error"] == "invalid_client"


async def test_a_program_alone_gets_no_scopes_of_users(
    smart: Smart, administration: Administration
) -> None:
    client = backend(administration)
    for scope in ("user/*.rs", "patient/*.rs openid", "launch", ""):
        answer = await asked_by(smart, assertion(client), scope)
        assert answer.json()["error"] == "invalid_scope", scope


async def test_a_public_program_does_not_ask_for_itself(smart: Smart) -> None:
    """RFC 6749 4.4: whoever cannot prove who they are."""
    form = {"grant_type": "client_credentials", "client_id": "app", "scope": "system/*.rs"}
    assert (await smart.token(form)).json()["error"] == "invalid_client"
