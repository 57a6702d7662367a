"""What a program may know of its user (OpenID Connect Core 1.0 5.1, 5.3)."""

from typing import Any

from fhir_server.identity.endpoints import access_token
from fhir_server.identity.granting import FHIR_USER, OPENID, PROFILE
from fhir_server.identity.issuing import PERMISSION, Issuing, Places
from fhir_server.identity.own_tokens import OwnTokens
from fhir_server.outcome import Unauthorized
from fhir_server.storage.identity.people import User, user


def user_claims(places: Places, who: User, scopes: str) -> dict[str, Any]:
    """Who somebody is, as far as scopes let a program know."""
    words = scopes.split()
    found: dict[str, Any] = {"sub": who.name}
    record = f"{places.fhir}/{who.fhir_user}" if who.fhir_user else ""
    if record and FHIR_USER in words:
        found["fhirUser"] = record
    if PROFILE in words:
        found |= {"name": who.display, "preferred_username": who.name}
        if record:
            found["profile"] = record
    return found


def user_info(issuing: Issuing, standing: OwnTokens, text: str) -> dict[str, Any] | None:
    """Whom an access token of ours is for; None if it is not for OpenID Connect.

    Raises `Unauthorized` for one that is not good.
    """
    token = access_token(issuing, standing, text)
    if token is None or not token.good:
        raise Unauthorized("it is no access token of ours, or not good any more")
    if PERMISSION not in token.claims or OPENID not in token.claims["scope"].split():
        return None
    with issuing.connections.transaction() as connection:
        found = user(connection, token.claims["sub"])
    if found is None:
        raise Unauthorized("its user is not there any more")
    return user_claims(issuing.places, found, token.claims["scope"])
