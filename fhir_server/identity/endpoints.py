"""What programs ask about tokens: whether one is good, and to end it (RFC 7662, RFC 7009)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from authlib.oauth2.rfc6749 import TokenMixin
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhir_server.identity.clients import METHODS, Client
from fhir_server.identity.issuing import PERMISSION, Issuing
from fhir_server.identity.jwks import read_keys
from fhir_server.identity.own_keys import ACCESS
from fhir_server.identity.own_tokens import OwnTokens
from fhir_server.storage.identity import permissions
from fhir_server.storage.identity.connections import hashed
from fhir_server.storage.identity.permissions import Permission


@dataclass(frozen=True, slots=True)
class Token(TokenMixin):
    """A token that somebody asks about: an access token by its claims, or a refresh token."""

    claims: dict[str, Any]
    permission: Permission | None
    good: bool

    def check_client(self, client: Client) -> bool:
        owner = self.permission.client if self.permission else self.claims.get("client_id")
        return bool(owner == client.client_id)

    def is_expired(self) -> bool:
        return not self.good

    def is_revoked(self) -> bool:
        return not self.good


def find(issuing: Issuing, standing: OwnTokens, text: str, client: Client) -> Token | None:
    """A token of ours, whether it is good or not; None for what is none."""
    if text.count(".") == 2:
        return access_token(issuing, standing, text)
    id_ = hashed(text)
    with issuing.connections.transaction() as connection:
        found = permissions.refreshed(connection, id_, client.client_id)
        if found is None:
            return None
        now = issuing.now()
        unused = permissions.is_unused(connection, id_, now)
        stands = permissions.standing(connection, "", found.id, now, issuing.lives.idle)
    return Token({}, found, unused and stands is not None)


def access_token(issuing: Issuing, standing: OwnTokens, text: str) -> Token | None:
    """An access token of ours, whether it is good or not; None for what is none."""
    keys = KeySet(list(read_keys(issuing.keys.public())))
    try:
        claims = jwt.decode(text, keys, algorithms=[ACCESS]).claims
    except (JoseError, ValueError):
        return None
    if claims.get("aud") != issuing.places.fhir:
        return None
    good = claims["exp"] > issuing.now().timestamp() and (
        standing.principal(claims, use=False) is not None
    )
    return Token(claims, None, good)


class Introspection(IntrospectionEndpoint):
    """Whether a token is good; only for programs that prove themselves."""

    CLIENT_AUTH_METHODS: ClassVar = [each for each in METHODS if each != "none"]

    def query_token(self, token_string: str, _: str | None) -> Token | None:
        # Authlib asks for it in an `authenticate_token` of its own, which does not know the client.
        raise NotImplementedError

    def authenticate_token(self, request: Any, client: Client) -> Token | None:
        self.check_params(request, client)
        issuing = self.server.issuing
        return find(issuing, self.server.standing, request.form["token"], client)

    def introspect_token(self, token: Token) -> dict[str, Any]:
        issuing: Issuing = self.server.issuing
        if token.permission is not None:
            return {
                "active": True,
                "client_id": token.permission.client,
                "sub": token.permission.user_name,
                "scope": token.permission.scopes,
                "iss": issuing.places.issuer,
            }
        claims = {name: value for name, value in token.claims.items() if name != PERMISSION}
        return {"active": True, "token_type": "Bearer", **claims} | self._user(token)

    def _user(self, token: Token) -> dict[str, Any]:
        """Who the user is, as SMART wants it told (token-introspection.html)."""
        found = self.server.standing.principal(token.claims, use=False)
        if found is None or not found.name.startswith("user:"):
            return {}
        more = {"username": token.claims["sub"]}
        if found.fhir_user and "fhirUser" in token.claims["scope"].split():
            more["fhirUser"] = f"{self.server.issuing.places.fhir}/{found.fhir_user}"
        return more


class Revocation(RevocationEndpoint):
    """End a token: a refresh token with all that it stands for, an access token alone."""

    CLIENT_AUTH_METHODS: ClassVar = list(METHODS)

    def query_token(self, token_string: str, _: str | None) -> Token | None:
        # Authlib asks for it in an `authenticate_token` of its own, which does not know the client.
        raise NotImplementedError

    def authenticate_token(self, request: Any, client: Client) -> Token | None:
        self.check_params(request, client)
        issuing = self.server.issuing
        found = find(issuing, self.server.standing, request.form["token"], client)
        # Somebody else's token is none of theirs, and they are not told that it is one.
        return found if found is not None and found.check_client(client) else None

    def revoke_token(self, token: Token, _: Any) -> None:
        issuing: Issuing = self.server.issuing
        with issuing.connections.transaction() as connection:
            if token.permission is not None:
                permissions.withdraw(connection, token.permission.id)
            else:
                now = issuing.now()
                expires = now.fromtimestamp(token.claims["exp"] + 120, now.tzinfo)
                permissions.revoke(connection, token.claims["jti"], expires)
