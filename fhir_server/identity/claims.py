"""From the claims of a token to the principal they tell of."""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from fhir_server.identity.issuers import ClaimPath, Issuer
from fhir_server.identity.tokens import Claims
from fhir_server.outcome import Unauthorized
from fhir_server.security.principal import ROLES, Principal
from fhir_server.security.scopes import InvalidScope, parse_scope

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_REFERENCE = re.compile(
    r"(Practitioner|PractitionerRole|Patient|RelatedPerson|Person)/" + _ID.pattern
)
_RESOURCE_SCOPE = ("patient/", "user/", "system/")
_MOST_NAME = 200


def principal_of(claims: Claims, issuer: Issuer, base_url: str) -> Principal:
    """Who a token tells of. Raises `Unauthorized` for one that names nobody.

    base_url: of FHIR here, since `fhirUser` is a URL (SMART App Launch scopes-and-launch-context).
    """
    client = _client(claims)
    subject = _text(claims.get("sub"))
    if not (subject or client):
        raise Unauthorized("it does not say whose it is")
    host = urlsplit(issuer.issuer).netloc
    kind, who = ("client", client or subject) if _is_program(claims, client) else ("user", subject)
    patient = _text(_at(claims, issuer.patient))
    if patient and not _ID.fullmatch(patient):
        raise Unauthorized("the patient it names is no id")
    return Principal(
        name=f"{kind}:{_printable(who)}@{host}",
        roles=frozenset(_roles(claims, issuer)),
        scopes=_scopes(claims, issuer),
        tenants=tuple(_texts(_at(claims, issuer.tenants))) or issuer.default_tenants,
        fhir_user=local_reference(_text(_at(claims, issuer.fhir_user)), base_url),
        patient=patient,
        client=_printable(client),
    )


def local_reference(url: str, base_url: str) -> str:
    """A `fhirUser` as a reference within this server; empty if it is of another."""
    relative = url.removeprefix(base_url + "/")
    return relative if _REFERENCE.fullmatch(relative) else ""


def _client(claims: Claims) -> str:
    """The program that the token was issued to, by the names that providers have for it."""
    found = (_text(claims.get(name)) for name in ("client_id", "azp", "appid", "cid"))
    return next(filter(None, found), "")


def _is_program(claims: Claims, client: str) -> bool:
    """Whether a program asks for itself (the client credentials grant), and no user."""
    subject = _text(claims.get("sub"))
    return (
        subject in ("", client)
        or claims.get("gty") == "client-credentials"  # Auth0
        or claims.get("idtyp") == "app"  # Entra ID
        or _text(claims.get("preferred_username")).startswith("service-account-")  # Keycloak
    )


def _roles(claims: Claims, issuer: Issuer) -> Iterator[str]:
    for path in issuer.roles:
        for name in _texts(_at(claims, path)):
            ours = issuer.role_names.get(name, name)
            if ours in ROLES:
                yield ours


def _scopes(claims: Claims, issuer: Issuer) -> frozenset[str] | None:
    given = claims["scope"] if "scope" in claims else claims.get("scp")
    found = frozenset(word for text in _texts(given) for word in text.split() if _is_sound(word))
    if not issuer.scopes_required and not any(each.startswith(_RESOURCE_SCOPE) for each in found):
        return None
    return found


def _is_sound(scope: str) -> bool:
    """Whether it is one of SMART, or none of resources at all; others would grant nothing."""
    try:
        parse_scope(scope)
    except InvalidScope:
        return False
    return True


def _at(claims: Claims, path: ClaimPath) -> Any:
    """What stands at a path; names with dots of their own are tried as they are first."""
    if isinstance(path, str):
        if path in claims:
            return claims[path]
        path = tuple(path.split("."))
    found: Any = claims
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _texts(value: Any) -> Iterable[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str) and each]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _printable(name: str) -> str:
    """A name as logs and audits may have it."""
    return "".join(each if each.isprintable() else "?" for each in name[:_MOST_NAME])
