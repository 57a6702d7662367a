"""The keys of our own tokens: made, followed by others, told to whoever checks our tokens.

They are in the database, in the schema that is no tenant's: so all processes and machines have the
same ones, and whoever could read them there could write users too.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc.jwk import ECKey, Key, RSAKey

from fhir_server.identity.jwks import choose
from fhir_server.storage.identity.connections import Connections
from fhir_server.storage.identity.signing import (
    SigningKey,
    add_key,
    remove_key,
    signing_keys,
)

# Of access tokens, which we check ourselves, and of ID tokens, whose readers all know RS256
# (OpenID Connect Discovery 1.0 3).
ACCESS, ID = "ES256", "RS256"

_GOOD_FOR = timedelta(days=90)
# Others hear of a key before it signs, and believe it until its last token has expired.
_HEARD_OF_AFTER = timedelta(hours=1)
_BELIEVED_FOR = timedelta(days=1)
_LOOK_EVERY_SECONDS = 60.0
# A token with an unknown key may be the first of a new one; made-up ones ask no more than this.
_LOOK_AGAIN_SECONDS = 1.0


def system_now() -> datetime:
    """The current instant in UTC."""
    return datetime.now(UTC)


class OwnKeys:
    """The keys of one server, as one process knows them."""

    def __init__(self, connections: Connections, now: Callable[[], datetime] = system_now) -> None:
        self._connections = connections
        self._now = now
        self._lock = threading.Lock()
        self._keys: tuple[tuple[Key, datetime], ...] = ()
        self._looked = -math.inf
        # How often they have changed, and how often when they were looked at last.
        self._changes = self._seen = 0

    def signing(self, algorithm: str) -> Key:
        """The key that signs now."""
        self._look(_LOOK_EVERY_SECONDS)
        now = self._now()
        fitting = [each for each in self._keys if each[0].get("alg") == algorithm]
        # The clock of whoever made the first one may be ahead.
        return next((key for key, signs in fitting if signs <= now), fitting[-1][0])

    def public(self) -> dict[str, Any]:
        """All keys as whoever checks our tokens gets them (RFC 7517)."""
        self._look(_LOOK_EVERY_SECONDS)
        return {"keys": [key.as_dict(private=False) for key, _ in self._keys]}

    async def of(self, algorithm: str, kid: str | None) -> Key | None:
        """The key for a token; None if there is none like it."""
        if self._changes != self._seen or time.monotonic() - self._looked > _LOOK_EVERY_SECONDS:
            await asyncio.to_thread(self._look, _LOOK_EVERY_SECONDS)
        found = self._choose(algorithm, kid)
        if found is None:
            await asyncio.to_thread(self._look, _LOOK_AGAIN_SECONDS)
            found = self._choose(algorithm, kid)
        return found

    def forget(self) -> None:
        """Look again: others may have changed them."""
        self._changes += 1

    def replace(self) -> None:
        """Believe no token of before: somebody may have got hold of the keys."""
        with self._connections.transaction() as connection:
            for each in signing_keys(connection, alone=True):
                remove_key(connection, each.id)
            for algorithm in (ACCESS, ID):
                add_key(connection, _made(algorithm, self._now(), self._now()))
        self.forget()

    def _choose(self, algorithm: str, kid: str | None) -> Key | None:
        return choose([key for key, _ in self._keys], algorithm, kid)

    def _look(self, every: float) -> None:
        with self._lock:
            changes = self._changes
            known = self._keys and changes == self._seen
            if known and time.monotonic() - self._looked < every:
                return
            with self._connections.transaction() as connection:
                found = signing_keys(connection)
            if not _is_complete(found, self._now()):
                found = self._renewed()
            self._keys = tuple((_read(each.key), each.signs) for each in found)
            self._looked, self._seen = time.monotonic(), changes

    def _renewed(self) -> list[SigningKey]:
        """With new keys in place of those that become old."""
        now = self._now()
        with self._connections.transaction() as connection:
            found = signing_keys(connection, alone=True)
            for algorithm in (ACCESS, ID):
                mine = [each for each in found if each.key["alg"] == algorithm]
                if not _has_young(mine, now):
                    signs = now + _HEARD_OF_AFTER if mine else now
                    add_key(connection, _made(algorithm, now, signs))
                for each in mine:
                    if each.created < now - _GOOD_FOR - _HEARD_OF_AFTER - _BELIEVED_FOR:
                        remove_key(connection, each.id)
            return signing_keys(connection)


def _is_complete(found: Sequence[SigningKey], now: datetime) -> bool:
    of = {name: [each for each in found if each.key["alg"] == name] for name in (ACCESS, ID)}
    return all(_has_young(each, now) for each in of.values())


def _has_young(found: Sequence[SigningKey], now: datetime) -> bool:
    return any(each.created > now - _GOOD_FOR for each in found)


def _made(algorithm: str, now: datetime, signs: datetime) -> SigningKey:
    more: Any = {"alg": algorithm, "use": "sig"}
    key: Key = (
        ECKey.generate_key("P-256", more, auto_kid=True)
        if algorithm == ACCESS
        else RSAKey.generate_key(2048, more, auto_kid=True)
    )
    assert key.kid is not None
    return SigningKey(key.kid, dict(key.as_dict(private=True)), now, signs)


def _read(item: dict[str, Any]) -> Key:
    return ECKey.import_key(item) if item["kty"] == "EC" else RSAKey.import_key(item)
