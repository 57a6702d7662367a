"""Tokens of an OpenID provider: which are believed, and what happens when its keys change."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import Key, OctKey, RSAKey

from fhir_server.identity.authenticator import Remembering
from fhir_server.identity.issuers import Issuer
from fhir_server.identity.jwks import RemoteKeys, read_keys
from fhir_server.identity.tokens import Trusted, Verifier
from fhir_server.outcome import Unauthorized, Unavailable
from tests.identity.provider import AUDIENCE, Provider, ec_key, rsa_key, running_provider

KEY, OTHER = rsa_key("first"), rsa_key("second")


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider(KEY) as found:
        yield found


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(provider: Provider, clock: Clock) -> Remembering:
    return made(provider, clock)


def made(provider: Provider, clock: Clock, **more: Any) -> Remembering:
    issuer = Issuer(issuer=provider.issuer, audience=(AUDIENCE,), **more)
    keys = RemoteKeys(issuer.issuer, monotonic=clock.monotonic)
    verifier = Verifier({issuer.issuer: Trusted(issuer, keys)}, clock.now)
    return Remembering(verifier, AUDIENCE, now=clock.now)


async def test_a_token_of_the_issuer_is_believed(
    provider: Provider, authenticator: Remembering
) -> None:
    found = await authenticator.principal(provider.token())
    assert found.name == "user:8d1f@" + provider.issuer.removeprefix("http://")


async def test_keys_are_asked_for_once(provider: Provider, authenticator: Remembering) -> None:
    for number in range(5):
        await authenticator.principal(provider.token(provider.claims(sub=str(number))))
    assert provider.asked == 1


async def refused(authenticator: Remembering, token: str) -> str:
    with pytest.raises(Unauthorized) as caught:
        await authenticator.principal(token)
    assert caught.value.status == 401
    assert 'error="invalid_token"' in caught.value.headers["WWW-Authenticate"]
    return str(caught.value)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://other.example.org"}, "somebody else"),
        ({"aud": ["a", "b"]}, "somebody else"),
        ({"aud": None}, "lacks"),
        ({"exp": None}, "lacks"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": "tomorrow"}, "wrong"),
        ({"exp": float("nan")}, "wrong"),
        ({"nbf": 4_000_000_000}, "not valid yet"),
        ({"iat": 4_000_000_000}, "not valid yet"),
        ({"iss": "https://evil.example.org"}, "issuer"),
        ({"iss": ["https://evil.example.org"]}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"sub": None}, "whose"),
        ({"sub": 17}, "wrong"),
        ({"patient": "../Patient/1"}, "patient"),
        ({"typ": "ID"}, "no access token"),
        ({"typ": "Refresh"}, "no access token"),
    ],
)
async def test_a_token_with_wrong_claims_is_refused(
    provider: Provider, authenticator: Remembering, claims: dict[str, Any], reason: str
) -> None:
    token = provider.token(provider.claims(**claims))
    assert reason in await refused(authenticator, token)


async def test_one_of_several_audiences_is_enough(
    provider: Provider, authenticator: Remembering
) -> None:
    token = provider.token(provider.claims(aud=["account", AUDIENCE]))
    await authenticator.principal(token)


@pytest.mark.parametrize("skew", [-50, 50])
async def test_a_minute_between_clocks_is_borne(
    provider: Provider, authenticator: Remembering, clock: Clock, skew: int
) -> None:
    now = int(time.time())
    token = provider.token(provider.claims(iat=now + skew, nbf=now + skew, exp=now + skew + 30))
    await authenticator.principal(token)


async def test_more_than_a_minute_between_clocks_is_not(
    provider: Provider, authenticator: Remembering
) -> None:
    now = int(time.time())
    token = provider.token(provider.claims(nbf=now + 70))
    assert "not valid yet" in await refused(authenticator, token)
    token = provider.token(provider.claims(exp=now - 70))
    assert "expired" in await refused(authenticator, token)


async def test_a_remembered_token_expires(
    provider: Provider, authenticator: Remembering, clock: Clock
) -> None:
    token = provider.token(provider.claims(exp=int(time.time()) + 100))
    await authenticator.principal(token)
    clock.ahead = 170
    assert "expired" in await refused(authenticator, token)


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", None])
async def test_types_of_access_tokens_are_taken(
    provider: Provider, authenticator: Remembering, typ: str | None
) -> None:
    await authenticator.principal(provider.token(typ=typ))


@pytest.mark.parametrize("typ", ["logout+jwt", "dpop+jwt", "secevent+jwt"])
async def test_other_types_of_jwt_are_refused(
    provider: Provider, authenticator: Remembering, typ: str
) -> None:
    assert "no access token" in await refused(authenticator, provider.token(typ=typ))


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_token_without_signature_is_refused(
    provider: Provider, authenticator: Remembering
) -> None:
    for name in ("none", "None", "NONE"):
        token = f"{part({'alg': name, 'kid': 'first'})}.{part(provider.claims())}."
        assert "algorithm" in await refused(authenticator, token)


async def test_a_public_key_is_no_secret(provider: Provider, authenticator: Remembering) -> None:
    """RFC 8725 2.1: HS256 with the public key's text as its secret."""
    pem = KEY.as_pem(private=False)
    signed = jws.serialize_compact(
        {"alg": "HS256", "kid": "first", "typ": "JWT"},
        json.dumps(provider.claims()).encode(),
        OctKey.import_key(base64.urlsafe_b64encode(pem).decode()),
        algorithms=["HS256"],
    )
    assert "algorithm" in await refused(authenticator, signed)


async def test_an_algorithm_that_the_issuer_does_not_use_is_refused(provider: Provider) -> None:
    authenticator = made(provider, Clock(), algorithms=["ES256"])
    assert "algorithm" in await refused(authenticator, provider.token())


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "first' or '1'='1",
        "http://evil.example.org/key",
        "",
        "\0",
        ["first"],
    ],
)
async def test_the_id_of_a_key_is_only_looked_up(
    provider: Provider, authenticator: Remembering, kid: Any
) -> None:
    claims = part(provider.claims())
    token = f"{part({'alg': 'RS256', 'kid': kid})}.{claims}.{part('signature')}"
    assert "key" in await refused(authenticator, token)


async def test_a_key_in_the_header_is_not_taken(
    provider: Provider, authenticator: Remembering
) -> None:
    own = rsa_key("first")
    header = {"jwk": own.as_dict(private=False), "jku": "http://evil.example.org/keys"}
    token = provider.token(key=own, header=header)
    assert "signature" in await refused(authenticator, token)


async def test_an_unknown_critical_header_is_refused(
    provider: Provider, authenticator: Remembering
) -> None:
    token = provider.token()
    _, claims, signature = token.split(".")
    header = part({"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": False})
    assert "signature" in await refused(authenticator, f"{header}.{claims}.{signature}")


async def test_changed_claims_are_noticed(provider: Provider, authenticator: Remembering) -> None:
    header, _, signature = provider.token().split(".")
    claims = part(provider.claims(sub="somebody-else"))
    assert "signature" in await refused(authenticator, f"{header}.{claims}.{signature}")


@pytest.mark.parametrize(
    "token", ["", "abc", "a.b.c", "....", "e30.e30.", "W10.W10.W10", "é.é.é", "a" * 20_000]
)
async def test_what_is_no_jwt_is_refused(authenticator: Remembering, token: str) -> None:
    await refused(authenticator, token)


async def test_a_new_key_is_found_at_once(
    provider: Provider, authenticator: Remembering, clock: Clock
) -> None:
    await authenticator.principal(provider.token())
    provider.keys = [KEY, OTHER]
    clock.ahead += 11
    await authenticator.principal(provider.token(key=OTHER))
    assert provider.asked == 2


async def test_unknown_keys_do_not_make_it_ask_again_and_again(
    provider: Provider, authenticator: Remembering
) -> None:
    for number in range(20):
        token = provider.token(key=rsa_key_named(f"made-up-{number}"))
        assert "key" in await refused(authenticator, token)
    assert provider.asked == 1


def rsa_key_named(kid: str) -> Key:
    return RSAKey.import_key({**OTHER.as_dict(private=True), "kid": kid})


async def test_a_withdrawn_key_is_not_believed_for_long(
    provider: Provider, authenticator: Remembering, clock: Clock
) -> None:
    now = int(time.time())
    token = provider.token(provider.claims(exp=now + 100_000))
    await authenticator.principal(token)
    provider.keys = [OTHER]
    clock.ahead = 3700
    assert "key" in await refused(authenticator, token)


async def test_known_keys_stay_good_while_the_issuer_is_down(
    provider: Provider, authenticator: Remembering, clock: Clock
) -> None:
    await authenticator.principal(provider.token())
    provider.down = True
    clock.ahead = 3700
    now = int(clock.now())
    await authenticator.principal(provider.token(provider.claims(iat=now, exp=now + 60)))


async def test_an_issuer_that_never_answered_is_no_reason_to_say_401(
    provider: Provider, authenticator: Remembering
) -> None:
    provider.down = True
    with pytest.raises(Unavailable):
        await authenticator.principal(provider.token())


async def test_the_configuration_of_another_issuer_is_not_taken(
    provider: Provider, authenticator: Remembering
) -> None:
    provider.told_issuer = "https://evil.example.org"
    with pytest.raises(Unavailable):
        await authenticator.principal(provider.token())


async def test_without_a_key_id_the_only_fitting_key_is_taken(
    provider: Provider, authenticator: Remembering
) -> None:
    provider.keys = [ec_key("curve"), KEY]
    await authenticator.principal(provider.token(key=KEY, header={"kid": None}))


async def test_without_a_key_id_no_key_is_guessed(
    provider: Provider, authenticator: Remembering
) -> None:
    provider.keys = [KEY, OTHER]
    token = provider.token(key=KEY, header={"kid": None})
    assert "key" in await refused(authenticator, token)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "PS256", "ES256", "ES384"])
async def test_algorithms_of_smart_and_openid_are_taken(
    provider: Provider, authenticator: Remembering, algorithm: str
) -> None:
    curves = {"ES256": "P-256", "ES384": "P-384"}
    key = ec_key("ec", curves[algorithm]) if algorithm in curves else KEY
    provider.keys = [key]
    await authenticator.principal(provider.token(key=key, algorithm=algorithm))


def test_keys_for_other_things_are_left_out() -> None:
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1024, {"kid": "weak"}, auto_kid=False)
    public = KEY.as_dict(private=False)
    document = {
        "keys": [
            public,
            {**public, "use": "enc"},
            {**public, "key_ops": ["encrypt"]},
            weak.as_dict(private=False),
            OctKey.generate_key(256).as_dict(private=True),
            {"kty": "RSA"},
            {"kty": "unknown"},
            "text",
        ]
    }
    assert [key.kid for key in read_keys(document)] == ["first"]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": "text"}])
def test_what_is_no_set_of_keys_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="JWK set"):
        read_keys(document)
