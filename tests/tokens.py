"""Tokens that a gate of the tests accepts: signed with a key made for the run."""

import time
from collections.abc import Collection
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key

from fhir_server.identity.authenticator import Remembering
from fhir_server.identity.issuers import Issuer
from fhir_server.identity.tokens import Trusted, Verifier
from fhir_server.security.gate import TokenGate
from fhir_server.security.policy import Policy
from fhir_server.security.principal import ROLES
from fhir_server.spec import definitions

BASE = "http://test/fhir"
ISSUER = "https://issuer.example.org"
KEY = ECKey.generate_key("P-256", {"kid": "1"}, auto_kid=False)


class OwnKeys:
    async def of(self, algorithm: str, kid: str | None) -> Key | None:
        return KEY


def token(roles: Collection[str] = (), scope: str | None = None, **claims: Any) -> str:
    """A token that the gate accepts."""
    now = int(time.time())
    given = {"iss": ISSUER, "aud": BASE, "sub": "somebody", "iat": now, "exp": now + 3600}
    given |= {"roles": list(roles)} | claims
    if scope is not None:
        given["scope"] = scope
    return jwt.encode({"alg": "ES256", "kid": "1"}, given, KEY, algorithms=["ES256"])


def token_gate() -> TokenGate:
    """The gate, with the policy that comes with the server."""
    issuer = Issuer(issuer=ISSUER, audience=(BASE,), scopes_required=False)
    verifier = Verifier({ISSUER: Trusted(issuer, OwnKeys())})
    policy = Policy.read(None, definitions())
    return TokenGate(Remembering(verifier, BASE), policy, lambda: ("default",))


def everything() -> dict[str, str]:
    """The headers of somebody with all roles, whose token still limits what they may do."""
    return {"Authorization": f"Bearer {token(ROLES, 'user/*.cruds')}"}
