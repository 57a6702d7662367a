"""Programs as Authlib knows clients, and how they prove themselves."""

import hmac
import threading
import time
from typing import Any

import httpx
from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet
from joserfc.jws import JWSRegistry

from fhir_server.identity.issuing import Issuing
from fhir_server.identity.jwks import choose, read_keys
from fhir_server.storage.identity import programs
from fhir_server.storage.identity.connections import hashed
from fhir_server.storage.identity.programs import Program

# SMART App Launch 2, client-confidential-asymmetric.html: both have to be taken.
ASSERTION_ALGORITHMS = ("RS384", "ES384")
PRIVATE_KEY_JWT = "private_key_jwt"
METHODS = (PRIVATE_KEY_JWT, "client_secret_basic", "client_secret_post", "none")

_LONGEST_ASSERTION_SECONDS = 300
_LEEWAY_SECONDS = 60
_LONGEST_JTI = 256
# Short, so that a program may change its keys at any time.
_KEYS_KEPT_SECONDS = 15.0
_MOST_BYTES = 256 * 1024


class Client(ClientMixin):
    """A program as Authlib asks about it."""

    # ID tokens are signed with what every reader knows.
    id_token_signed_response_alg = "RS256"

    def __init__(self, program: Program) -> None:
        self.program = program
        self.client_id = program.id

    @property
    def client_metadata(self) -> dict[str, Any]:
        """What it is registered with (OpenID Connect RP-Initiated Logout 1.0 3.1)."""
        return {"post_logout_redirect_uris": self.program.redirect_uris}

    def get_client_id(self) -> str:
        return self.program.id

    def get_default_redirect_uri(self) -> None:
        # What is not said is not guessed: SMART requires the parameter.
        return None

    def get_allowed_scope(self, scope: str) -> str:
        # What of it is granted is found out when user and context are known.
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.program.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        stored = self.program.secret
        return stored is not None and hmac.compare_digest(stored, hashed(client_secret))

    def check_endpoint_auth_method(self, method: str, _: str) -> bool:
        return method == self.program.method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and "authorization_code" in self.program.grants

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.program.grants


class Assertions(JWTBearerClientAssertion):
    """private_key_jwt as SMART backend services have it: short-lived, and used once."""

    CLIENT_AUTH_METHOD = PRIVATE_KEY_JWT

    def __init__(self, issuing: Issuing, audiences: list[str]) -> None:
        super().__init__(leeway=_LEEWAY_SECONDS)
        self._issuing = issuing
        self._audiences = audiences
        self._fetched: dict[str, tuple[float, KeySet]] = {}
        self._lock = threading.Lock()

    def get_audiences(self) -> list[str]:
        return self._audiences

    def resolve_client_public_key(self, client: Client) -> KeySet:
        program = client.program
        if program.jwks is not None:
            return KeySet(list(read_keys(program.jwks)))
        if program.jwks_url is None:
            return KeySet([])
        with self._lock:
            fetched, keys = self._fetched.get(program.jwks_url, (0.0, KeySet([])))
            if not fetched or time.monotonic() - fetched > _KEYS_KEPT_SECONDS:
                keys = _fetch(program.jwks_url)
                self._fetched[program.jwks_url] = time.monotonic(), keys
        return keys

    def process_assertion_claims(self, assertion: str, resolve_key: KeySet) -> jwt.Claims:
        try:
            header = jws.extract_compact(assertion.encode()).headers()
            key = self._key(resolve_key, header)
            algorithm = str(header["alg"])
            registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
            claims = jwt.decode(assertion, key, [algorithm], registry).claims
        except (JoseError, ValueError):
            raise InvalidClientError(description="The assertion is not signed rightly.") from None
        self.verify_claims(claims)
        return claims

    def _key(self, keys: KeySet, header: dict[str, Any]) -> Key:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ASSERTION_ALGORITHMS:
            expected = " or ".join(ASSERTION_ALGORITHMS)
            raise InvalidClientError(description=f"Expected an assertion signed by {expected}.")
        found = choose(keys.keys, algorithm, kid) if isinstance(kid, str) else None
        if found is None:
            raise InvalidClientError(description="The assertion names no key of the client.")
        return found

    def validate_jti(self, claims: jwt.Claims, jti: Any) -> bool:
        """Whether an assertion is used for the first time; its life is checked on the way."""
        now = self._issuing.now()
        left = claims["exp"] - now.timestamp()
        if left > _LONGEST_ASSERTION_SECONDS + _LEEWAY_SECONDS:
            raise InvalidClientError(description="The assertion lives longer than five minutes.")
        if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI or "\0" in jti:
            raise InvalidClientError(description="The assertion's jti is no text, or too long.")
        # It is good for longer than it says by what clocks may differ.
        until = now.fromtimestamp(claims["exp"] + 2 * _LEEWAY_SECONDS, now.tzinfo)
        with self._issuing.connections.transaction() as connection:
            return programs.use_assertion(connection, claims["sub"], jti, until)


def _fetch(url: str) -> KeySet:
    try:
        with httpx.stream("GET", url, timeout=5.0, headers={"Accept": "application/json"}) as found:
            found.raise_for_status()
            body = b""
            for part in found.iter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    raise ValueError("too long")
        return KeySet(list(read_keys(httpx.Response(200, content=body).json())))
    except (httpx.HTTPError, ValueError):
        raise InvalidClientError(description="The client's keys cannot be had.") from None
