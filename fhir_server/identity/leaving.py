"""Logging out where a program asks for it (OpenID Connect RP-Initiated Logout 1.0)."""

from dataclasses import dataclass
from typing import Any

from authlib.oidc.rpinitiated import EndSessionEndpoint
from joserfc.jwk import KeySet

from fhir_server.identity.clients import Client
from fhir_server.identity.jwks import read_keys
from fhir_server.identity.own_keys import ID
from fhir_server.storage.identity.people import Session

# What of a program's request is heeded.
PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a program asks for.

    then: where the browser goes afterwards; empty where it goes nowhere.
    user_name, since: of the login that an ID token of ours tells of; empty and 0 without one.
    """

    then: str = ""
    user_name: str = ""
    since: int = 0

    def is_of(self, session: Session) -> bool:
        """Whether the program has an ID token of this login, so that the user need not be asked."""
        started = int(session.started.timestamp())
        return (self.user_name, self.since) == (session.user_name, started)


class EndSession(EndSessionEndpoint):
    """Where programs send users who log out."""

    def get_server_jwks(self) -> KeySet:
        return KeySet(list(read_keys(self.server.issuing.keys.public())))

    def get_algorithms(self) -> list[str]:
        return [ID]

    def resolve_client_from_id_token_claims(self, id_token_claims: dict[str, Any]) -> Client | None:
        (client,) = id_token_claims["aud"]
        found: Client | None = self.server.query_client(client)
        return found
