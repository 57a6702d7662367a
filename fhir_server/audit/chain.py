"""The chain: each row's hash covers its own line and the hash of the row before."""

import hmac
from binascii import hexlify
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

# What the first row follows.
BEGINNING = bytes(32)


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain ends, or one of its rows: `seq` is 0 before the first."""

    seq: int = 0
    hash: bytes = BEGINNING


def following(link: Link, line: bytes) -> Link:
    """The link that a line makes after another one."""
    return Link(link.seq + 1, _hash(link.hash, link.seq + 1, line))


def chained(link: Link, lines: Iterable[bytes]) -> tuple[bytes, Link]:
    """Lines as rows that follow a link, in the text form of COPY, and the last of their links."""
    rows = []
    seq, digest = link.seq, link.hash
    for line in lines:
        seq += 1
        digest = _hash(digest, seq, line)
        rows.append(b"%d\t%b\t\\\\x%b\n" % (seq, line, hexlify(digest)))
    return b"".join(rows), Link(seq, digest)


def _hash(before: bytes, seq: int, line: bytes) -> bytes:
    return sha256(b"%b%d\t%b" % (before, seq, line)).digest()


def signature(key: bytes, link: Link) -> bytes:
    """The HMAC by which an end of the chain is known to be this server's."""
    return hmac.digest(key, b"%d %b" % (link.seq, link.hash), "sha256")


def key_name(key: bytes) -> str:
    """What a key is called where it may be read by everybody."""
    return sha256(b"audit key " + key).hexdigest()[:16]
