"""What stands between the tables of a tenant and everybody who writes or reads resources."""

from typing import Protocol

from fhir_server.outcome import Refusal


class CannotOpen(Refusal):
    """What is stored cannot be opened with the keys there are: 500."""

    status = 500


class Seal(Protocol):
    """Seals what is written to the tables of one tenant, and opens what is read from them."""

    def seal(self, type_: str, id_: str, content: bytes) -> bytes:
        """What of a resource's JSON the database may see."""

    def open(self, type_: str, id_: str, content: bytes) -> bytes:
        """The JSON again. Raises a refusal that says so when it cannot be had."""


def sealed(seal: Seal | None, type_: str, id_: str, content: bytes | None) -> bytes | None:
    """Content on its way to the tables; None for a deletion."""
    return content if seal is None or content is None else seal.seal(type_, id_, content)


def opened(seal: Seal | None, type_: str, id_: str, content: bytes | None) -> bytes | None:
    """Content on its way from the tables."""
    return content if seal is None or content is None else seal.open(type_, id_, content)
