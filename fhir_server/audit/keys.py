"""What is kept outside of the database, so that whoever holds that alone cannot rewrite the trail.

A key that signs the chain now and then, and for each tenant the end of the chain as it was last
seen here: a chain that was computed anew does not fit the first, one that was cut not the second.
"""

import os
import secrets
from pathlib import Path

from fhir_server.audit.chain import Link, key_name

_KEY = "audit.key"
_END = "end"
_KEY_BYTES = 32


class Remembered:
    """The key and the ends of chains, as files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key: bytes | None = None

    def key(self) -> bytes:
        """The key; made when it is first asked for. Raises `OSError`."""
        if self._key is None:
            self._key = _read_or_make(self._folder / _KEY)
        return self._key

    @property
    def key_name(self) -> str:
        """What the key is called."""
        return key_name(self.key())

    def end(self, tenant: str) -> Link | None:
        """The end of a tenant's chain as it was last seen; None if it never was."""
        try:
            seq, hash_ = (self._folder / tenant / _END).read_text().split()
            return Link(int(seq), bytes.fromhex(hash_))
        except FileNotFoundError:
            return None

    def remember(self, tenant: str, link: Link) -> None:
        """Keep the end of a chain, unless a later one is known."""
        known = self.end(tenant)
        if known is not None and known.seq >= link.seq:
            return
        folder = self._folder / tenant
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = folder / f"{_END}.{os.getpid()}"
        beside.write_text(f"{link.seq} {link.hash.hex()}\n")
        beside.replace(folder / _END)


def _read_or_make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        try:
            return bytes.fromhex(path.read_text().strip())
        except FileNotFoundError:
            beside = path.with_name(f"{path.name}.{os.getpid()}")
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as to:
                to.write(secrets.token_hex(_KEY_BYTES) + "\n")
            try:
                # Unlike a renaming, this leaves the key of another process where it is.
                os.link(beside, path)
            except FileExistsError:
                pass
            finally:
                beside.unlink()
