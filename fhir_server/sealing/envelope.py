"""Content with its sealed elements as one ciphertext, bound to where it belongs (AES-256-GCM).

A resource's sealed elements, and those of the resources in it, become one property `~sealed`. All
else stays as it was, so that PostgreSQL and search see it.
"""

import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.fhir_json import decode, encode
from fhir_server.storage.seal import MESSAGE_MARK, NAME

_FIELD = re.compile(rb'"~sealed": ?"1\.([0-9]{1,9})\.([A-Za-z0-9_=-]*)"')
_MESSAGE = re.compile(re.escape(MESSAGE_MARK) + rb"1\.([0-9]{1,9})\.")
_NONCE = 12
_SEPARATOR = "\x1f"

# What resources stand in beside `contained`, by the type of what has them.
_NESTING = {"Bundle": "entry", "Parameters": "parameter"}

# By place in the resource, the JSON properties taken from there; the resource itself is "".
_Parts = dict[str, dict[str, Any]]
_RawParts = dict[str, dict[str, msgspec.Raw]]
_decode = msgspec.json.Decoder(_RawParts).decode


class WrongKey(Exception):
    """A ciphertext that its key does not open: changed, moved, or made with another key."""


class Cipher:
    """One data key. number: by which ciphertexts name it."""

    def __init__(self, number: int, key: bytes) -> None:
        self.number = number
        self._aead = AESGCM(key)

    def encrypt(self, plain: bytes, place: str) -> bytes:
        """Nonce and ciphertext, bound to a place."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, self._bound(place))

    def decrypt(self, sealed: bytes, place: str) -> bytes:
        """What was encrypted for that place. Raises `WrongKey`."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._bound(place))
        except (InvalidTag, ValueError):
            raise WrongKey from None

    def _bound(self, place: str) -> bytes:
        return f"1{_SEPARATOR}{self.number}{_SEPARATOR}{place}".encode()


# The key of a number; raises what says that there is none.
CipherOf = Callable[[int], Cipher]


def place_of(tenant: str, type_: str, id_: str) -> str:
    """Where the ciphertext of a resource belongs; it opens nowhere else."""
    return _SEPARATOR.join((tenant, type_, id_))


class Taker:
    """Takes the elements of a policy out of resources.

    properties: by type, JSON properties to be sealed.
    """

    def __init__(self, properties: Mapping[str, frozenset[str]]) -> None:
        self._properties = properties
        self._worth = {
            type_: re.compile(b"|".join(f'"{name}"'.encode() for name in sorted(names)))
            for type_, names in properties.items()
        }

    def __bool__(self) -> bool:
        return bool(self._properties)

    def may_take(self, type_: str, content: bytes) -> bool:
        """Whether it is worth looking into a resource of a type."""
        if not self._properties:
            return False
        if type_ in _NESTING or b'"contained"' in content:
            return True
        worth = self._worth.get(type_)
        return worth is not None and worth.search(content) is not None

    def take(self, resource: dict[str, Any]) -> _Parts:
        """The sealed elements of a resource and those in it, by place; they are gone there."""
        taken: _Parts = {}
        for place, inner in _resources(resource, ""):
            wanted = self._properties.get(inner["resourceType"])
            if wanted and (names := [name for name in inner if name in wanted]):
                taken[place] = {name: inner.pop(name) for name in names}
        return taken


def seal(taker: Taker, cipher: Cipher, place: str, content: bytes) -> bytes:
    """Content with the elements of a policy sealed; the same bytes if it has none."""
    resource = decode(content)
    assert NAME not in resource, "sealed twice"
    taken = taker.take(resource)
    if not taken:
        return content
    sealed = urlsafe_b64encode(cipher.encrypt(_text(taken), place)).decode()
    resource[NAME] = f"1.{cipher.number}.{sealed}"
    return encode(resource)


def _text(taken: _Parts) -> bytes:
    """JSON with numbers as jsonb writes them, which has no exponents below zero."""
    text = encode(taken)
    return encode(_without_exponents(taken)) if b"E-" in text else text


def _without_exponents(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_exponents(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_exponents(item) for item in value]
    if isinstance(value, Decimal) and "E-" in str(value):
        return msgspec.Raw(format(value, "f").encode())
    return value


def unseal(cipher_of: CipherOf, place: str, content: bytes) -> bytes:
    """Sealed content as it was, digit by digit. Raises `WrongKey`.

    What stands beside the ciphertext is not parsed, unless resources in it were sealed, too.
    """
    found = _FIELD.search(content)
    if found is None:
        raise WrongKey
    plain = cipher_of(int(found[1])).decrypt(urlsafe_b64decode(found[2]), place)
    parts = _decode(plain)
    if parts.keys() == {""}:
        own = b", ".join(b'"%b": %b' % (name.encode(), raw) for name, raw in parts[""].items())
        return content[: found.start()] + own + content[found.end() :]
    resource = decode(content)
    del resource[NAME]
    for at, inner in list(_resources(resource, "")):
        for name, raw in parts.get(at, {}).items():
            inner[name] = decode(bytes(raw))
    return encode(resource)


def seal_bytes(cipher: Cipher, place: str, content: bytes) -> bytes:
    """A message as ciphertext."""
    return b"%b1.%d.%b" % (MESSAGE_MARK, cipher.number, cipher.encrypt(content, place))


def open_bytes(cipher_of: CipherOf, place: str, content: bytes) -> bytes:
    """The message. Raises `WrongKey`."""
    found = _MESSAGE.match(content)
    if found is None:
        raise WrongKey
    return cipher_of(int(found[1])).decrypt(content[found.end() :], place)


def _resources(resource: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A resource and those in it, each with its place."""
    yield place, resource
    for number, inner in enumerate(resource.get("contained") or ()):
        if isinstance(inner, dict) and "resourceType" in inner:
            yield from _resources(inner, f"{place}/contained/{number}")
    nesting = _NESTING.get(resource["resourceType"])
    if nesting is not None:
        yield from _parts(resource.get(nesting), f"{place}/{nesting}")


def _parts(items: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The resources of a Bundle's entries, or of parameters and their parts."""
    for number, item in enumerate(items or ()):
        at = f"{place}/{number}"
        if not isinstance(item, dict):
            continue
        if "resource" in item:
            yield from _resources(item["resource"], f"{at}/resource")
        yield from _parts(item.get("part"), f"{at}/part")
        if outcome := (item.get("response") or {}).get("outcome"):
            yield from _resources(outcome, f"{at}/response/outcome")
