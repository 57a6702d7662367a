"""Access tokens that are JWTs: whether an issuer signed them, for us, and now (RFC 8725, 9068)."""

import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from fhir_server.identity.issuers import Issuer
from fhir_server.identity.jwks import KeysUnknown
from fhir_server.outcome import Issue, Unauthorized, Unavailable

# Clocks of two machines differ.
LEEWAY_SECONDS = 60
_LONGEST_TOKEN = 16 * 1024
# What Keycloak calls tokens that are no access tokens; its header does not tell them apart.
_OTHER_TYPES = frozenset({"ID", "Refresh", "Offline", "Logout"})

Claims = Mapping[str, Any]


class Keys(Protocol):
    """The public keys of an issuer."""

    async def of(self, algorithm: str, kid: str | None) -> Key | None:
        """The key for a token; None if the issuer has none like it. Raises `KeysUnknown`."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer and its keys."""

    issuer: Issuer
    keys: Keys


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token says that its issuer signed. expires: in seconds since 1970."""

    issuer: Issuer
    claims: Claims
    expires: float


class Verifier:
    """Checks tokens of some issuers."""

    def __init__(
        self, trusted: Mapping[str, Trusted], now: Callable[[], float] = time.time
    ) -> None:
        self._trusted = trusted
        self._now = now

    async def verified(self, token: str) -> Verified:
        """What a token says. Raises `Unauthorized`, and `Unavailable` while keys are unknown."""
        header, claimed = _unverified(token)
        trusted = self._trusted.get(_text(claimed.get("iss")))
        if trusted is None:
            raise Unauthorized("its issuer is not trusted here")
        issuer = trusted.issuer
        algorithm = _text(header.get("alg"))
        if algorithm not in issuer.algorithms:
            raise Unauthorized("its algorithm is not accepted")
        type_ = _text(header.get("typ")).lower()
        if (type_ and type_ not in issuer.token_types) or claimed.get("typ") in _OTHER_TYPES:
            raise Unauthorized("it is no access token")
        key = await _key(trusted, algorithm, header.get("kid"))
        claims = _signed(token, key, algorithm)
        _hold(claims, issuer, int(self._now()))
        return Verified(issuer, claims, float(claims["exp"]))


async def _key(trusted: Trusted, algorithm: str, kid: Any) -> Key:
    if kid is not None and not isinstance(kid, str):
        raise Unauthorized("the id of its key is no text")
    try:
        found = await trusted.keys.of(algorithm, kid)
    except KeysUnknown:
        text = "The identity provider does not answer, so that no token can be checked"
        raise Unavailable(Issue("transient", text), headers={"Retry-After": "5"}) from None
    if found is None:
        raise Unauthorized("its key is none of its issuer's")
    return found


def _signed(token: str, key: Key, algorithm: str) -> Claims:
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        return jwt.decode(token, key, algorithms=[algorithm], registry=registry).claims
    except (JoseError, ValueError):
        raise Unauthorized("its signature is wrong") from None


def _hold(claims: Claims, issuer: Issuer, now: int) -> None:
    wanted = jwt.JWTClaimsRegistry(
        now=now,
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "values": list(issuer.audience)},
        exp={"essential": True},
    )
    try:
        wanted.validate(dict(claims))
    except JoseError as error:
        raise Unauthorized(_WRONG.get(error.error, _wrong_claim(error))) from None


_WRONG = {"expired_token": "it has expired", "missing_claim": "it lacks aud or exp"}


def _wrong_claim(error: JoseError) -> str:
    text = str(error)
    if "'aud'" in text:
        return "it is meant for somebody else"
    if "'nbf'" in text or "not yet" in text or "future" in text:
        return "it is not valid yet"
    return "a claim of it is wrong"


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims before anything is proved, to know whose key to take."""
    parts = token.split(".")
    if len(token) > _LONGEST_TOKEN or len(parts) != 3:
        raise Unauthorized("it is no JWT")
    try:
        header, claims = (json.loads(_decoded(part)) for part in parts[:2])
    except (ValueError, RecursionError):
        raise Unauthorized("it is no JWT") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Unauthorized("it is no JWT")
    return header, claims


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
