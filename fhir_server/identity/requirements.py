"""What authentication needs of the settings."""

from urllib.parse import urlsplit

from fhir_server.settings import Settings
from fhir_server.transport import is_loopback


def identity_problem(settings: Settings) -> str:
    """Why nobody could be asked who they are; empty if they can be."""
    try:
        issuers = settings.issuers
    except ValueError as error:
        return str(error)
    if settings.authentication == "external" and not issuers:
        return "external authentication needs --token-issuer, or --issuers-config"
    if settings.authentication == "embedded" and settings.base_url is not None:
        parts = urlsplit(settings.base_url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            return (
                f"{settings.base_url}: passwords and tokens need https, expected a --base-url that "
                "begins with https:// (see docs/security.md)"
            )
    return ""
