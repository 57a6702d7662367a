"""What stands between the tables of a tenant and everybody who writes or reads resources."""

from typing import Protocol

from fhir_server.outcome import Issue, Refusal, Unavailable

# The property in which a resource's sealed elements stand. The name of no element begins so, and a
# text has the quotes around it escaped: what has no such property is known at a glance.
NAME = "~sealed"
_MARK = f'"{NAME}"'.encode()
# What sealed messages begin with, and no message of HL7 v2.
MESSAGE_MARK = b"\x01~sealed"


class CannotOpen(Refusal):
    """What is stored cannot be opened with the keys there are: 500."""

    status = 500


class Seal(Protocol):
    """Seals what is written to the tables of one tenant, and opens what is read from them."""

    def seal(self, type_: str, id_: str, content: bytes) -> bytes:
        """What of a resource's JSON the database may see."""

    def open(self, type_: str, id_: str, content: bytes) -> bytes:
        """The JSON again. Raises a refusal that says so when it cannot be had."""

    def seal_message(self, place: str, content: bytes) -> bytes:
        """What of a message the database may see; it opens at that place only."""

    def open_message(self, place: str, content: bytes) -> bytes:
        """The message again. Raises a refusal that says so when it cannot be had."""


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
            raise _unread(f"{type_}/{id_}")
        return content

    def seal_message(self, place: str, content: bytes) -> bytes:
        """Raises `Unavailable`: nobody checks later whether it should have been sealed."""
        raise _unread("What is received")

    def open_message(self, place: str, content: bytes) -> bytes:
        """What is not sealed. Raises `Unavailable` for anything else."""
        if content.startswith(MESSAGE_MARK):
            raise _unread("The message")
        return content


def _unread(what: str) -> Unavailable:
    text = f"{what} is encrypted at rest, by a key that is not read yet"
    return Unavailable(Issue("transient", text), headers={"Retry-After": "1"})


def sealed(seal: Seal | None, type_: str, id_: str, content: bytes | None) -> bytes | None:
    """Content on its way to the tables; None for a deletion."""
    return content if seal is None or content is None else seal.seal(type_, id_, content)


def opened(seal: Seal | None, type_: str, id_: str, content: bytes | None) -> bytes | None:
    """Content on its way from the tables."""
    return content if seal is None or content is None else seal.open(type_, id_, content)
