"""What stands between the tables of a tenant and everybody who writes or reads resources."""

from typing import Protocol

from fhir_server.outcome import Issue, Refusal, Unavailable

# The property in which a resource's sealed elements stand. The name of no element begins so, and a
# text has the quotes around it escaped: what has no such property is known at a glance.
NAME = "~sealed"
_MARK = f'"{NAME}"'.encode()


class CannotOpen(Refusal):
    """What is stored cannot be opened with the keys there are: 500."""

    status = 500


class Seal(Protocol):
    """Seals what is written to the tables of one tenant, and opens what is read from them."""

    def seal(self, type_: str, id_: str, content: bytes) -> bytes:
        """What of a resource's JSON the database may see."""

    def open(self, type_: str, id_: str, content: bytes) -> bytes:
        """The JSON again. Raises a refusal that says so when it cannot be had."""


def is_sealed(content: bytes) -> bool:
    """Whether content has a ciphertext in it."""
    return _MARK in content


class Unread:
    """The seal of a tenant of which it is not known yet whether anything is sealed."""

    def seal(self, type_: str, id_: str, content: bytes) -> bytes:
        """The same: what a writer knows to be current is checked when it is stored."""
        return content

    def open(self, type_: str, id_: str, content: bytes) -> bytes:
        """What is not sealed. Raises `Unavailable` for anything else."""
        if is_sealed(content):
            text = f"{type_}/{id_} is encrypted at rest, by a key that is not read yet"
            raise Unavailable(Issue("transient", text), headers={"Retry-After": "1"})
        return content


def sealed(seal: Seal | None, type_: str, id_: str, content: bytes | None) -> bytes | None:
    """Content on its way to the tables; None for a deletion."""
    return content if seal is None or content is None else seal.seal(type_, id_, content)


def opened(seal: Seal | None, type_: str, id_: str, content: bytes | None) -> bytes | None:
    """Content on its way from the tables."""
    return content if seal is None or content is None else seal.open(type_, id_, content)
