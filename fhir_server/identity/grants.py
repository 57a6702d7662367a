"""The grants of OAuth 2.0 that are offered: codes with PKCE, refreshing, and programs themselves.

Not offered, as RFC 9700 2.1.2 and 2.4 advise: the implicit grant and that of users' passwords.
"""

import secrets
from dataclasses import dataclass
from typing import Any, ClassVar

from authlib.oauth2.rfc6749 import (
    AuthorizationCodeMixin,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    TokenMixin,
)
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode

from fhir_server.identity.clients import METHODS, Client
from fhir_server.identity.granting import OFFLINE, grantable
from fhir_server.identity.issuing import Issuing
from fhir_server.identity.own_keys import ID
from fhir_server.identity.userinfo import user_claims
from fhir_server.security.scopes import SYSTEM
from fhir_server.storage.identity import permissions, programs
from fhir_server.storage.identity.connections import hashed
from fhir_server.storage.identity.people import User, user
from fhir_server.storage.identity.permissions import Code, Permission

_CODE_LIFE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Decision:
    """What a user has decided that a program may do.

    launch: the EHR's, if it began there. tenant: the only territory it is for, or empty.
    """

    user: User
    session: bytes
    scopes: str
    patient: str = ""
    encounter: str = ""
    launch: bytes | None = None
    tenant: str = ""


class FoundCode(AuthorizationCodeMixin):
    """A code as Authlib asks about it."""

    code_challenge_method = "S256"

    def __init__(self, code: Code, auth_time: int) -> None:
        self.code = code
        self.code_challenge = code.challenge
        self._auth_time = auth_time

    def get_redirect_uri(self) -> str:
        return self.code.redirect_uri

    def get_scope(self) -> str:
        return self.code.scopes

    def get_nonce(self) -> str:
        return self.code.nonce

    def get_auth_time(self) -> int:
        return self._auth_time

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> list[str]:
        return ["pwd"]


class CodeGrant(AuthorizationCodeGrant):
    """Codes: for one program, one redirection, one use, one minute."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(METHODS)

    @property
    def _issuing(self) -> Issuing:
        issuing: Issuing = self.server.issuing
        return issuing

    def generate_authorization_code(self) -> str:
        return secrets.token_urlsafe(32)

    def save_authorization_code(self, code: str, request: Any) -> None:
        decision: Decision = request.user
        given = request.payload.data
        new = Code(
            permission=secrets.token_urlsafe(16),
            client=request.client.client_id,
            redirect_uri=given["redirect_uri"],
            challenge=given["code_challenge"],
            nonce=given.get("nonce", ""),
            user_name=decision.user.name,
            session=decision.session,
            scopes=decision.scopes,
            patient=decision.patient,
            encounter=decision.encounter,
            tenant=decision.tenant,
        )
        expires = self._issuing.now().timestamp() + _CODE_LIFE_SECONDS
        with self._issuing.connections.transaction() as connection:
            if decision.launch is not None and not programs.use_launch(connection, decision.launch):
                raise InvalidRequestError("The launch has been used.")
            now = self._issuing.now()
            until = now.fromtimestamp(expires, now.tzinfo)
            permissions.add_code(connection, hashed(code), new, until)

    def query_authorization_code(self, code: str, client: Client) -> FoundCode | None:
        issuing = self._issuing
        with issuing.connections.transaction() as connection:
            found = permissions.use_code(connection, hashed(code), client.client_id, issuing.now())
            started = permissions.started(connection, found.session) if found else None
        if found is None or started is None:
            return None
        return FoundCode(found, int(started.timestamp()))

    def delete_authorization_code(self, authorization_code: FoundCode) -> None:
        """Nothing: it was used up when it was looked for, so that nobody is between."""

    def authenticate_user(self, authorization_code: FoundCode) -> User | None:
        with self._issuing.connections.transaction() as connection:
            found = user(connection, authorization_code.code.user_name)
        return found if found is not None and not found.disabled else None

    def generate_token(self, *_: Any, **given: Any) -> dict[str, Any]:
        code: Code = self.request.authorization_code.code
        offline = OFFLINE in code.scopes.split()
        permission = Permission(
            code.permission,
            code.client,
            code.user_name,
            None if offline else code.session,
            code.scopes,
            code.patient,
            code.encounter,
            code.tenant,
        )
        with self._issuing.connections.transaction() as connection:
            permissions.add_permission(connection, permission, self._issuing.now())
        refresh = bool(given.get("include_refresh_token"))
        return self._issuing.for_user(permission, code.scopes, refresh)


class Challenge(CodeChallenge):
    """PKCE, which every program has to use, and only by S256 (RFC 9700 2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar = ["S256"]
    DEFAULT_CODE_CHALLENGE_METHOD = "S256"

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        given = grant.request.payload.data
        if not given.get("code_challenge"):
            raise InvalidRequestError("Missing 'code_challenge'")
        if given.get("code_challenge_method") != "S256":
            raise InvalidRequestError("Unsupported 'code_challenge_method', expected S256")
        super().validate_code_challenge(grant, redirect_uri)


class FoundRefresh(TokenMixin):
    """A refresh token as Authlib asks about it."""

    def __init__(self, id_: bytes, permission: Permission) -> None:
        self.id = id_
        self.permission = permission

    def check_client(self, client: Client) -> bool:
        return self.permission.client == client.client_id

    def get_scope(self) -> str:
        return self.permission.scopes


class RefreshGrant(RefreshTokenGrant):
    """Refresh tokens, each used once: whoever uses one again ends what it was for."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(METHODS)
    INCLUDE_NEW_REFRESH_TOKEN = True

    @property
    def _issuing(self) -> Issuing:
        issuing: Issuing = self.server.issuing
        return issuing

    def authenticate_refresh_token(self, refresh_token: str) -> FoundRefresh | None:
        id_, client = hashed(refresh_token), self.request.client.client_id
        issuing = self._issuing
        with issuing.connections.transaction() as connection:
            found = permissions.refreshed(connection, id_, client)
            if found is None:
                return None
            if permissions.is_unused(connection, id_, issuing.now()):
                return FoundRefresh(id_, found)
            permissions.withdraw(connection, found.id)
        return None

    def authenticate_user(self, refresh_token: FoundRefresh) -> str:
        issuing, of = self._issuing, refresh_token.permission.id
        with issuing.connections.transaction() as connection:
            found = permissions.standing(connection, "", of, issuing.now(), issuing.lives.idle)
        if found is None:
            raise InvalidGrantError("The session has ended.")
        return found.user_name

    def issue_token(self, _: str, refresh_token: FoundRefresh) -> dict[str, Any]:
        issuing, permission = self._issuing, refresh_token.permission
        with issuing.connections.transaction() as connection:
            first = permissions.use_refresh(connection, refresh_token.id, issuing.now())
            if not first:
                permissions.withdraw(connection, permission.id)
        if not first:
            raise InvalidGrantError
        scopes = self.request.payload.scope or permission.scopes
        return issuing.for_user(permission, " ".join(scopes.split()), refresh=True)

    def revoke_old_credential(self, refresh_token: FoundRefresh) -> None:
        """Nothing: it was used up before the new one was made."""


class ProgramGrant(ClientCredentialsGrant):
    """Programs that ask for themselves: scopes of `system/` alone (SMART backend-services)."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = [each for each in METHODS if each != "none"]

    def generate_token(self, *_: Any, **given: Any) -> dict[str, Any]:
        client: Client = self.request.client
        scopes = grantable(given.get("scope") or "", client.program.scopes, [SYSTEM])
        if not any(each.startswith(SYSTEM) for each in scopes):
            raise InvalidScopeError("None of the scopes asked for is granted to this client.")
        issuing: Issuing = self.server.issuing
        kept = [each for each in scopes if each.startswith(SYSTEM)]
        return issuing.for_program(client.client_id, " ".join(kept))


class IdTokens(OpenIDCode):
    """ID tokens (OpenID Connect Core 1.0 3.1) that say who the user is in the records."""

    def __init__(self, issuing: Issuing) -> None:
        super().__init__(require_nonce=False)
        self._issuing = issuing

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        # The program checks its nonce; the code that carries it is used once.
        return False

    def get_client_algorithm(self, client: Client) -> str:
        return ID

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        now = int(self._issuing.now().timestamp())
        return {
            "iss": self._issuing.places.issuer,
            "aud": [client.client_id],
            "iat": now,
            "exp": now + int(self._issuing.lives.access.total_seconds()),
        }

    def get_encode_header(self, client: Client) -> dict[str, Any]:
        return {"alg": ID, "kid": self._issuing.keys.signing(ID).kid, "typ": "JWT"}

    def resolve_client_private_key(self, client: Client) -> Any:
        return self._issuing.keys.signing(ID)

    def generate_user_info(self, user: User, scope: str) -> dict[str, Any]:
        return user_claims(self._issuing.places, user, scope)
