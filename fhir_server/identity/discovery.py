"""What programs read to find their way: SMART's configuration and OpenID's."""

from typing import Any

from fhir_server.identity.clients import ASSERTION_ALGORITHMS, METHODS
from fhir_server.identity.granting import SUPPORTED
from fhir_server.identity.issuing import Places
from fhir_server.identity.own_keys import ID

SMART = "/.well-known/smart-configuration"
OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"

GRANTS = ("authorization_code", "client_credentials", "refresh_token")

# SMART App Launch 2, conformance.html#capabilities.
CAPABILITIES = (
    "launch-ehr", "launch-standalone", "client-public", "client-confidential-symmetric",
    "client-confidential-asymmetric", "sso-openid-connect", "context-banner",
    "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient",
    "permission-offline", "permission-online", "permission-patient", "permission-user",
    "permission-v1", "permission-v2",
)  # fmt: skip


def endpoints(places: Places) -> dict[str, str]:
    """Where everything is."""
    auth = places.issuer + "/auth"
    return {
        "authorization_endpoint": f"{auth}/authorize",
        "token_endpoint": f"{auth}/token",
        "introspection_endpoint": f"{auth}/introspect",
        "revocation_endpoint": f"{auth}/revoke",
        "jwks_uri": f"{auth}/jwks",
    }


def _common(places: Places) -> dict[str, Any]:
    return {
        "issuer": places.issuer,
        **endpoints(places),
        "grant_types_supported": list(GRANTS),
        "response_types_supported": ["code"],
        "scopes_supported": list(SUPPORTED),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
    }


def smart_configuration(places: Places) -> dict[str, Any]:
    """SMART App Launch 2, conformance.html#using-well-known."""
    return _common(places) | {"capabilities": list(CAPABILITIES)}


def openid_configuration(places: Places) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0 3, RFC 8414."""
    return _common(places) | {
        "userinfo_endpoint": f"{places.issuer}/auth/userinfo",
        "end_session_endpoint": f"{places.issuer}/auth/logout",
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ID],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "at_hash", "fhirUser",
            "name", "preferred_username", "profile",
        ],
        "prompt_values_supported": ["none", "login", "consent"],
    }  # fmt: skip


_TAKEN_OVER = (
    "issuer", "authorization_endpoint", "token_endpoint", "introspection_endpoint",
    "revocation_endpoint", "jwks_uri", "grant_types_supported", "response_types_supported",
    "scopes_supported", "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
)  # fmt: skip


def smart_of_provider(told: dict[str, Any]) -> dict[str, Any]:
    """SMART's configuration where an OpenID provider gives the tokens, from what it tells."""
    found = {name: told[name] for name in _TAKEN_OVER if name in told}
    return found | {"capabilities": ["permission-v1", "permission-v2", "permission-user"]}
