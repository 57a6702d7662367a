"""Where things are below the server's address."""

from fhir_server.settings import Settings

FHIR_PATH = "/fhir"
DICOMWEB_PATH = "/dicom-web"


def local_base_url(settings: Settings) -> str:
    """The FHIR base URL under which references count as this server's own."""
    scheme = "http" if settings.tls_certificate is None else "https"
    return settings.base_url or f"{scheme}://localhost:{settings.port}{FHIR_PATH}"
