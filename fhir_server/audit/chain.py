"""The chain: each row's hash covers its own line and the hash of the row before."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

# What the first row follows.
BEGINNING = bytes(32)


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain ends, or one of its rows: `seq` is 0 before the first."""

    seq: int = 0
    hash: bytes = BEGINNING


def following(link: Link, line: bytes) -> Link:
    """The link that a line makes after another one."""
    seq = link.seq + 1
    digest = hashlib.sha256(b"%b%d\t%b" % (link.hash, seq, line)).digest()
    return Link(seq, digest)


def chained(link: Link, lines: Iterable[bytes]) -> tuple[bytes, Link]:
    """Lines as rows that follow a link, in the text form of COPY, and the last of their links."""
    rows = []
    for line in lines:
        link = following(link, line)
        rows.append(b"%d\t%b\t\\\\x%b\n" % (link.seq, line, link.hash.hex().encode()))
    return b"".join(rows), link


def signature(key: bytes, link: Link) -> bytes:
    """The HMAC by which an end of the chain is known to be this server's."""
    return hmac.digest(key, b"%d %b" % (link.seq, link.hash), "sha256")


def key_name(key: bytes) -> str:
    """What a key is called where it may be read by everybody."""
    return hashlib.sha256(b"audit key " + key).hexdigest()[:16]
