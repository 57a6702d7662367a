"""Hashed search keys: what extraction stores and what a query looks for.

A key says "this resource has this value under this parameter" in 64 bits:
`hash64(parameter) ^ hash64(value text)`, where a parameter is `Patient|identifier`. Both sides take
parameters and value texts from here, so they cannot disagree. Two different pairs share a key
with a chance of 5 in 10**20; docs/decisions/001-storage.md says why that is not rechecked.
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b

ANY = "*"
SEPARATOR = "\x1f"

_CACHED = 1 << 16

# A text of more characters is in no cache, so that nobody can fill the memory with long ones.
LONGEST_REMEMBERED = 1000

# A uri is found by `:below` under so many of its paths; what is deeper is found by itself alone.
MOST_PREFIXES = 64


def hash64_uncached(text: str) -> int:
    """`hash64` for text that is not expected to come again, such as an identifier."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


_hash64_cached = lru_cache(_CACHED)(hash64_uncached)


def hash64(text: str) -> int:
    """The signed 64-bit BLAKE2b hash of `text`, stable for ever."""
    return _hash64_cached(text) if len(text) <= LONGEST_REMEMBERED else hash64_uncached(text)


def parameter_name(resource_type: str, code: str, modifier: str = "") -> str:
    """`Patient|identifier`, or `Patient|family:exact` for a modifier with keys of its own."""
    return f"{resource_type}|{code}:{modifier}" if modifier else f"{resource_type}|{code}"


def key(parameter: str, value: str) -> int:
    """The key of one value text under `parameter` (see `parameter_name`)."""
    return hash64(parameter) ^ hash64(value)


class Keyed:
    """Makes keys that nobody can guess values by who has not the secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def key(self, parameter: str, value: str) -> int:
        """The key of one value text under `parameter`, in place of the function `key`."""
        text = f"{parameter}{SEPARATOR}{value}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._secret, text, "sha256")
        return int.from_bytes(digest[:8], "big", signed=True)


# Tokens (R4 search.html#token). A query has one of four forms, each with a text of its own. A code
# or system that is the star itself is marked, as HL7 has such a code.

_STAR = "\x1d*"


def _itself(text: str) -> str:
    return _STAR if text == ANY else text


def token_any_system(code: str) -> str:
    """`code`: that code, whatever its system."""
    return f"{ANY}{SEPARATOR}{code}"


def token_in_system(system: str, code: str) -> str:
    """`system|code`."""
    return f"{_itself(system)}{SEPARATOR}{_itself(code)}"


def token_without_system(code: str) -> str:
    """`|code`: that code where no system is given."""
    return f"{SEPARATOR}{code}"


def token_system_only(system: str) -> str:
    """`system|`: any code of that system."""
    return f"{_itself(system)}{SEPARATOR}{ANY}"


def token_of_type(type_system: str, type_code: str, value: str) -> str:
    """`:of-type` with `system|code|value` of Identifier.type (R4 search.html#modifiers)."""
    return f"{type_system}{SEPARATOR}{type_code}{SEPARATOR}{value}"


def token_texts(system: str | None, code: str | None) -> tuple[str, ...]:
    """Every text under which a stored token is found."""
    if not code:
        return (token_system_only(system),) if system else ()
    if not system:
        return (token_any_system(code), token_without_system(code))
    return (token_any_system(code), token_in_system(system, code), token_system_only(system))


def component_token_texts(system: str | None, code: str) -> tuple[str, ...]:
    """Every text under which a stored token is found as a component of a composite parameter."""
    inside = token_in_system(system, code) if system else token_without_system(code)
    return (token_any_system(code), inside)


# References (R4 search.html#reference).

_HISTORY = re.compile(r"/_history/[^/]*$")


def reference_text(reference: str, base_url: str) -> str:
    """`Patient/123` for this server's own resources, else the reference as it stands.

    The version is dropped, because a search by reference asks for the resource. Empty for a
    reference into the same resource (`#contained`), which nothing can search for.
    base_url: this server's, without a slash at the end.
    """
    if reference.startswith("#"):
        return ""
    if reference.startswith(base_url) and reference[len(base_url) : len(base_url) + 1] == "/":
        reference = reference[len(base_url) + 1 :]
    return _HISTORY.sub("", reference) if "/_history/" in reference else reference


def contained_text(container: str, reference: str) -> str:
    """`Patient/123#p` for a reference `#p` in `Patient/123`; itself for `#`, the container."""
    return container if reference == "#" else f"{container}{reference}"


# uri and canonical (R4 search.html#uri, references.html#canonical).


def uri_texts(uri: str) -> tuple[str, ...]:
    """Every text under which a stored uri or canonical is found: with and without `|version`."""
    url, bar, _ = uri.partition("|")
    return (uri, url) if bar and url else (uri,)


def uri_prefixes(uri: str) -> tuple[str, ...]:
    """Every text under which a stored uri is found by `:below`, from the shortest to itself.

    `http://a/b/c` has `http://a`, `http://a/b` and itself; a urn is cut at its colons. A slash at
    the end does not count. What a query asks for is the last of the prefixes of its own value.
    """
    url, bar, _ = uri.partition("|")
    if not url:
        return (uri,)
    mark = ":" if url[:4].lower() == "urn:" else "/"
    whole = url.rstrip(mark) or url
    scheme = whole.find("://")
    prefixes: list[str] = []
    at = whole.find(mark, scheme + 3 if scheme >= 0 else 1)
    while at >= 0 and len(prefixes) < MOST_PREFIXES:
        prefixes.append(whole[:at])
        at = whole.find(mark, at + 1)
    prefixes.append(whole)
    return (*prefixes, uri) if bar else tuple(prefixes)


# Dates (R4 search.html#date). Beside its row, a date has a key for the year and the month that it
# lies in as a whole, so that the index which intersects keys can take part: what is frequent in a
# year and what is frequent as a code may be rare together.

WITHIN = "within"


# Strings (R4 search.html#string). A text too long for one row has its beginning there, and all of
# it under this form of the parameter, in parts that overlap.

LONGER = "longer"


# Units (R4 search.html#quantity). A stored quantity has one row, with the hash of its unit; the
# vocabulary lists the units under `UNITS`, and a query looks there for those it can be asked in.

NO_UNIT = 0
UNITS = hash64("|units")
CURRENCY_SYSTEM = "urn:iso:std:iso:4217"


def unit_text(system: str | None, code: str | None, unit: str | None) -> str:
    """A unit as the vocabulary has it; empty if there is none."""
    if not (system or code or unit):
        return ""
    return f"{system or ''}{SEPARATOR}{code or ''}{SEPARATOR}{unit or ''}"


def unit_hash(text: str) -> int:
    """The unit hash of rows with the unit of that text (see `unit_text`)."""
    return hash64(text) if text else NO_UNIT


# Modifiers with keys of their own, beside `exact`, `identifier` and `of-type`: what comes after
# the colon in the name of the parameter.

TEXT = "text"
BELOW = "below"
LATITUDE = "latitude"
LONGITUDE = "longitude"


# `:missing` (R4 search.html#modifiers). One key a resource tells all parameters that have a value.


def presence_parameter(resource_type: str) -> str:
    """`Patient|:present`: the parameter whose one value a resource is the parameters it has."""
    return parameter_name(resource_type, "", "present")


def presence_text(codes: Iterable[str]) -> str:
    """The value text of a resource in which the parameters `codes` have values."""
    return ",".join(sorted(codes))


# Composite parameters (R4 search.html#composite).

COMPONENTS = "\x1e"


def composite_text(texts: Sequence[str]) -> str:
    """The value text of one text a component, where all components are found by keys."""
    return COMPONENTS.join(texts)


def composite_parameter(name: str, texts: Sequence[str]) -> int:
    """The hash under which the rows of the last component are stored.

    texts: of the components before it, which are found by keys.
    """
    return hash64(name) ^ hash64(composite_text(texts))
