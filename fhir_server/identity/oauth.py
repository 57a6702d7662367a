"""The authorization server: Authlib's rules, on our tables (RFC 6749, RFC 9700)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidRequestError,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc9207 import IssuerParameter

from fhir_server.identity.clients import PRIVATE_KEY_JWT, Assertions, Client
from fhir_server.identity.endpoints import Introspection, Revocation
from fhir_server.identity.grants import (
    Challenge,
    CodeGrant,
    Decision,
    IdTokens,
    ProgramGrant,
    RefreshGrant,
)
from fhir_server.identity.issuing import Issuing
from fhir_server.identity.leaving import EndSession, Leaving
from fhir_server.identity.own_tokens import OwnTokens
from fhir_server.storage.identity import programs
from fhir_server.storage.identity.people import User

_MOST_PARAMETERS = 100
_CONTROL = frozenset(map(chr, range(32))) | {"\x7f"}


class Malformed(ValueError):
    """Parameters that are none; says why."""


def read_parameters(text: str | bytes) -> dict[str, str]:
    """The parameters of a query or a form. Raises `Malformed`; each may be given once."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        pairs = parse_qsl(
            decoded, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise Malformed("expected parameters in UTF-8, and no more than a hundred") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise Malformed(f"the parameter {_shown(name)} is given twice")
        if _CONTROL & set(name + value):
            raise Malformed(f"the parameter {_shown(name)} has a character that cannot be meant")
        found[name] = value
    return found


def _shown(name: str) -> str:
    return "".join(each if each.isalnum() or each in "_-" else "?" for each in name[:40])


@dataclass(slots=True)
class Answer:
    """What is answered. location: where the browser is sent, if it is."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    @location.setter
    def location(self, url: str) -> None:
        self.headers["Location"] = url


class _Request(OAuth2Request):
    """A request as Authlib reads it."""

    def __init__(
        self, method: str, url: str, headers: Mapping[str, str], given: Mapping[str, str]
    ) -> None:
        super().__init__(method, url, headers=dict(headers))
        self._given = dict(given)
        self.payload = BasicOAuth2Payload(self._given)

    @property
    def args(self) -> dict[str, str]:
        return self._given if self.method == "GET" else {}

    @property
    def form(self) -> dict[str, str]:
        return self._given if self.method == "POST" else {}


class _Issuer(IssuerParameter):
    """Says in each response whose it is, so that nobody mixes servers up (RFC 9207)."""

    def __init__(self, server: "Server") -> None:
        self._issuer = server.issuing.places.issuer
        self(server)

    def get_issuer(self) -> str:
        return self._issuer


class Server(AuthorizationServer):
    """The authorization server of one process; synchronous, so to be called in threads."""

    def __init__(self, issuing: Issuing, standing: OwnTokens, token_url: str) -> None:
        super().__init__()
        self.issuing = issuing
        self.standing = standing
        self._token_url = token_url
        self.register_grant(CodeGrant, [Challenge(required=True), IdTokens(issuing)])
        self.register_grant(RefreshGrant)
        self.register_grant(ProgramGrant)
        self.register_endpoint(Introspection)
        self.register_endpoint(Revocation)
        self.register_endpoint(EndSession)
        audiences = [token_url, issuing.places.issuer]
        self.register_client_auth_method(PRIVATE_KEY_JWT, Assertions(issuing, audiences))
        self._issuer = _Issuer(self)

    def query_client(self, client_id: str) -> Client | None:
        """A program that is there and not disabled."""
        with self.issuing.connections.transaction() as connection:
            found = programs.program(connection, client_id)
        return Client(found) if found is not None and not found.disabled else None

    def save_token(self, token: Any, request: Any) -> None:
        """Nothing: what is stored of a token is stored where it is made."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def handle_response(
        self, status: int, body: Any, headers: Iterable[tuple[str, str]] | None
    ) -> Answer:
        text = body if isinstance(body, str) else json.dumps(body)
        # After a form was sent, 303 has the browser leave its contents behind (RFC 9700 4.12).
        return Answer(303 if status == 302 else status, text, dict(headers or ()))

    def asked(self, parameters: Mapping[str, str], user: User | None) -> "Asked":
        """An authorization request that makes sense. user: who is logged in, if somebody is.

        Raises OAuth2Error; if it has a `redirect_uri`, the program is to be told there.
        """
        request = _Request("GET", self._token_url, {}, parameters)
        try:
            grant = self.get_consent_grant(request, end_user=user)
        except ValueError:
            # A description of the error that quotes what may not be quoted.
            raise InvalidRequestError("A parameter is malformed.") from None
        return Asked(request, grant)

    def allowed(self, asked: "Asked", decision: Decision) -> Answer:
        """Send the browser back with a code."""
        return self._decided(asked, decision)

    def denied(self, asked: "Asked") -> Answer:
        """Send the browser back without one."""
        return self._decided(asked, None)

    def _decided(self, asked: "Asked", decision: Decision | None) -> Answer:
        answer: Answer = self.create_authorization_response(
            asked.request, grant_user=decision, grant=asked.grant
        )
        return answer

    def refused(self, asked: "Asked", error: OAuth2Error) -> Answer:
        """Send the browser back with an error."""
        error.redirect_uri = asked.redirect_uri
        error.state = asked.parameters.get("state")
        return self.failed(error)

    def failed(self, error: OAuth2Error) -> Answer:
        """The answer to an error of an authorization request that says where it goes."""
        answer: Answer = self.handle_error_response(None, error)
        self._issuer.add_issuer_parameter(self, answer)
        return answer

    def leaving(self, parameters: Mapping[str, str]) -> Leaving:
        """What a program asks for that sends a user here to log out.

        One that makes no sense is nobody's: the user may log out all the same.
        """
        request = _Request("GET", self._token_url, {}, parameters)
        try:
            found = self.validate_endpoint_request(EndSession.ENDPOINT_NAME, request)
        except (OAuth2Error, ValueError):
            return Leaving()
        claims = found.id_token_claims or {}
        then = found.redirect_uri or ""
        return Leaving(then, claims.get("sub", ""), claims.get("auth_time", 0))

    def token(self, headers: Mapping[str, str], form: Mapping[str, str]) -> Answer:
        """The token endpoint."""
        return self._answered("token", headers, form)

    def about_token(self, name: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Answer:
        """Introspection or revocation."""
        return self._answered(name, headers, form)

    def _answered(self, name: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Answer:
        shown = {"Authorization": headers["authorization"]} if "authorization" in headers else {}
        request = _Request("POST", self._token_url, shown, form)
        try:
            made: Answer = (
                self.create_token_response(request)
                if name == "token"
                else self.create_endpoint_response(name, request)
            )
        except ValueError:
            error = InvalidRequestError("A parameter is malformed.")
            made = self.handle_error_response(request, error)
        return made


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request that makes sense, before anybody has decided."""

    request: Any
    grant: Any

    @property
    def parameters(self) -> dict[str, str]:
        """As they were sent."""
        found: dict[str, str] = self.request.payload.data
        return found

    @property
    def client(self) -> Client:
        """Whose it is."""
        found: Client = self.request.client
        return found

    @property
    def redirect_uri(self) -> str:
        """Where the answer goes: one that the program is registered with."""
        return self.parameters["redirect_uri"]
