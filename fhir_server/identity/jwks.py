"""The public keys of an issuer: fetched, kept, and fetched again when it has others."""

import asyncio
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, RSAKey, import_key

log = logging.getLogger(__name__)

_KEPT_SECONDS = 3600.0
# A token with a key that is not known may be the first with a new one, or one of thousands that
# somebody makes up: the issuer is not asked more often than this.
_ASKED_EVERY_SECONDS = 10.0
_TIMEOUT = httpx.Timeout(5.0)
_MOST_BYTES = 1024 * 1024
_LEAST_RSA_BITS = 2048
_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class KeysUnknown(Exception):
    """The issuer does not tell its keys; it may do so later."""


def read_keys(document: Any) -> tuple[Key, ...]:
    """The keys of a JWK set that signatures may be checked with (RFC 7517).

    What is no key, or one for something else, or too weak, is left out. Raises ValueError for what
    is no JWK set.
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("expected a JWK set: an object with keys")
    return tuple(key for item in document["keys"] if (key := _usable(item)) is not None)


def _usable(item: Any) -> Key | None:
    if not isinstance(item, dict) or item.get("use", "sig") != "sig":
        return None
    operations = item.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return None
    try:
        with warnings.catch_warnings():
            # Of weak keys, which are left out below.
            warnings.simplefilter("ignore")
            # Only what is public, should somebody have put a private key there.
            key = import_key({name: each for name, each in item.items() if name not in _PRIVATE})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, OctKey):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
        log.warning("a key of an issuer is left out: RSA below %d bits", _LEAST_RSA_BITS)
        return None
    return key


_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "key_ops"})


def choose(keys: Sequence[Key], algorithm: str, kid: str | None) -> Key | None:
    """The key of a token: by its id, or the only one that fits where the token names none."""
    family = _FAMILIES.get(algorithm[:2])
    fitting = [
        key
        for key in keys
        if key.key_type == family
        and _of_curve(key, algorithm)
        and key.get("alg") in (None, algorithm)
        and (kid is None or key.get("kid") == kid)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _of_curve(key: Key, algorithm: str) -> bool:
    if not isinstance(key, ECKey):
        return True
    return key.curve_name == {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}.get(algorithm)


class RemoteKeys:
    """The keys that a URL tells.

    url: of the JWK set; None for the one that the issuer's openid-configuration names.
    """

    def __init__(
        self,
        issuer: str,
        url: str | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._url = url
        self._monotonic = monotonic
        self._keys: tuple[Key, ...] | None = None
        self._fetched = self._asked = -_KEPT_SECONDS
        self._asking = asyncio.Lock()

    async def of(self, algorithm: str, kid: str | None) -> Key | None:
        """The key for a token; None if the issuer has none like it. Raises `KeysUnknown`."""
        found = choose(self._keys, algorithm, kid) if self._keys else None
        if found is None or self._monotonic() - self._fetched > _KEPT_SECONDS:
            await self._ask()
            found = choose(self._keys or (), algorithm, kid)
        if self._keys is None:
            raise KeysUnknown(self._issuer)
        return found

    async def _ask(self) -> None:
        async with self._asking:
            if self._monotonic() - self._asked < _ASKED_EVERY_SECONDS:
                return
            self._asked = self._monotonic()
            try:
                self._keys = read_keys(await self._document())
                self._fetched = self._monotonic()
            except (httpx.HTTPError, ValueError) as error:
                # Those it told before go on being good: it may be down for a moment.
                log.warning("the keys of %s cannot be had: %s", self._issuer, error)

    async def _document(self) -> Any:
        async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
            if self._url is not None:
                return await fetch(client, self._url)
            base = self._issuer.removesuffix("/")
            told = await fetch(client, f"{base}/.well-known/openid-configuration")
            if not isinstance(told, Mapping) or told.get("issuer") != self._issuer:
                raise ValueError("its openid-configuration is another issuer's")
            url = told.get("jwks_uri")
            if not isinstance(url, str) or not url.startswith(("https://", "http://")):
                raise ValueError("its openid-configuration names no jwks_uri")
            return await fetch(client, url)


async def fetch(client: httpx.AsyncClient, url: str) -> Any:
    """A JSON document of bounded size. Raises httpx.HTTPError and ValueError."""
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        found = b""
        async for part in answer.aiter_bytes():
            found += part
            if len(found) > _MOST_BYTES:
                raise ValueError(f"{url} answers with more than {_MOST_BYTES} bytes")
    if answer.status_code != 200:
        raise ValueError(f"{url} answers with {answer.status_code}")
    return json.loads(found)
