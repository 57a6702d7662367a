"""Tokens of our own: access tokens (RFC 9068), refresh tokens, and what goes with them."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt

from fhir_server.identity.granting import OFFLINE, ONLINE
from fhir_server.identity.own_keys import ACCESS, OwnKeys, system_now
from fhir_server.storage.identity import permissions
from fhir_server.storage.identity.connections import Connections, hashed
from fhir_server.storage.identity.permissions import Permission

# The claim that names the permission behind a token.
PERMISSION = "permission"


@dataclass(frozen=True, slots=True)
class Places:
    """Where this server is: `fhir` is the base URL of FHIR, `issuer` what is above it."""

    fhir: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Lives:
    """How long things are good for.

    access: tokens. online: refresh tokens while the user is logged in; offline: without.
    idle: sessions that nobody uses.
    """

    access: timedelta = timedelta(minutes=10)
    online: timedelta = timedelta(hours=12)
    offline: timedelta = timedelta(days=90)
    idle: timedelta = timedelta(minutes=30)


class Issuing:
    """Makes tokens."""

    def __init__(
        self,
        connections: Connections,
        keys: OwnKeys,
        places: Places,
        lives: Lives,
        now: Callable[[], datetime] = system_now,
    ) -> None:
        self.connections = connections
        self.keys = keys
        self.places = places
        self.lives = lives
        self.now = now

    def for_program(self, client: str, scopes: str) -> dict[str, Any]:
        """The answer to a program that asks for itself."""
        return self._answer(client, client, scopes, {})

    def for_user(self, permission: Permission, scopes: str, refresh: bool) -> dict[str, Any]:
        """The answer to a program that asks for a user.

        scopes: of this token, all of the permission's or fewer. refresh: whether the program may
        have a refresh token, if the scopes say so too.
        """
        context = {
            name: value
            for name, value in (
                ("patient", permission.patient),
                ("encounter", permission.encounter),
            )
            if value
        }
        claims = {PERMISSION: permission.id, **context}
        answer = self._answer(permission.user_name, permission.client, scopes, claims) | context
        if context:
            # The program shows whose record it is; nobody shows a banner for it.
            answer["need_patient_banner"] = True
        lasting = {OFFLINE, ONLINE} & set(permission.scopes.split())
        if refresh and lasting:
            answer["refresh_token"] = self._refresh_token(permission)
        return answer

    def _answer(
        self, subject: str, client: str, scopes: str, claims: dict[str, Any]
    ) -> dict[str, Any]:
        now = int(self.now().timestamp())
        seconds = int(self.lives.access.total_seconds())
        key = self.keys.signing(ACCESS)
        found = {
            "iss": self.places.issuer,
            "sub": subject,
            "aud": self.places.fhir,
            "iat": now,
            "exp": now + seconds,
            "jti": secrets.token_urlsafe(16),
            "client_id": client,
            "scope": scopes,
            **claims,
        }
        header = {"alg": ACCESS, "kid": key.kid}
        return {
            "access_token": jwt.encode(
                header, found, key, algorithms=[ACCESS], default_type="at+jwt"
            ),
            "token_type": "Bearer",
            "expires_in": seconds,
            "scope": scopes,
        }

    def _refresh_token(self, permission: Permission) -> str:
        token = secrets.token_urlsafe(32)
        life = self.lives.offline if permission.session is None else self.lives.online
        with self.connections.transaction() as connection:
            now = self.now()
            permissions.add_refresh(connection, hashed(token), permission.id, now, now + life)
        return token
