"""Which format a request is in and which one the answer takes (R4 http.html#mime-type)."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from fhir_server.outcome import Issue, Refusal
from fhir_server.patch import patch_format

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
CONTENT_TYPE = f"{FHIR_JSON}; charset=utf-8"
FORM = "application/x-www-form-urlencoded"

# What a client may call each format; the short names are for `_format`.
JSON_NAMES = frozenset(
    {FHIR_JSON, "application/json", "text/json", "application/json+fhir", "json"}
)
XML_NAMES = frozenset({FHIR_XML, "application/xml", "text/xml", "application/xml+fhir", "xml"})
_HTML = "text/html"
_FHIR_VERSIONS = (None, "4.0", "4.0.1")
_CHARSETS = ("utf-8", "utf8", "us-ascii")
_LONGEST_KEPT = 512


@dataclass(frozen=True, slots=True)
class Format:
    """How an answer is written.

    header: the field that says so; a client that names a generic media type gets that one.
    """

    media_type: str
    is_xml: bool
    header: tuple[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        value = f"{self.media_type}; charset=utf-8".encode()
        object.__setattr__(self, "header", (b"content-type", value))


JSON = Format(FHIR_JSON, is_xml=False)
XML = Format(FHIR_XML, is_xml=True)
_FORMATS = {name: Format(name, is_xml=name in XML_NAMES) for name in JSON_NAMES | XML_NAMES} | {
    FHIR_JSON: JSON,
    "json": JSON,
    FHIR_XML: XML,
    "xml": XML,
}
# What a wildcard can mean, the preferred one first.
_WILDCARDS = {
    "*/*": (JSON, XML),
    "application/*": (JSON, XML),
    "text/*": (_FORMATS["text/json"], _FORMATS["text/xml"]),
}


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One alternative of an Accept header."""

    name: str
    quality: float
    parameters: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "MediaRange":
        """Read a media range; a quality that is none counts as 1 (RFC 9110 12.4.2)."""
        name, parameters = media_type(text)
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 1.0
        return cls(name, quality if 0 <= quality <= 1 else 1.0, parameters)

    @property
    def possible(self) -> bool:
        """Whether this server can meet its parameters."""
        charset = self.parameters.get("charset", "utf-8").lower()
        return self.parameters.get("fhirversion") in _FHIR_VERSIONS and charset in _CHARSETS


def media_type(header: str) -> tuple[str, dict[str, str]]:
    """A media type in lower case and its parameters (RFC 9110 8.3.1)."""
    name, *rest = header.split(";")
    parameters = {}
    for item in rest:
        key, _, value = item.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"')
    return name.strip().lower(), parameters


def negotiate(accept: str | None, format_: str | None) -> Format:
    """The format of the answer; `_format` outweighs Accept.

    Raises a 406 `Refusal` when the client takes neither JSON nor XML of FHIR 4.0 in UTF-8.
    """
    if format_ is not None:
        return _named(format_)
    if not accept or accept in ("*/*", FHIR_JSON):
        return JSON
    found = _best(accept) if len(accept) <= _LONGEST_KEPT else _best.__wrapped__(accept)
    if found is None:
        raise _not_acceptable(f"Accept: {accept}")
    return found


def _named(format_: str) -> Format:
    # A plus sign that was not escaped arrives as a space.
    asked = MediaRange.parse(format_.replace(" ", "+"))
    found = _FORMATS.get(asked.name)
    if found is None and asked.name in _WILDCARDS:
        found = _WILDCARDS[asked.name][0]
    if found is None or not asked.possible:
        raise _not_acceptable(f"_format={format_}")
    return found


_ALTERNATIVE = re.compile(r'(?:[^,"]|"[^"]*"?)+')


@lru_cache(maxsize=256)
def _best(accept: str) -> Format | None:
    """The format of highest quality; a named one before a wildcard, then the first named."""
    ranges = [MediaRange.parse(text) for text in _ALTERNATIVE.findall(accept) if text.strip()]
    if not ranges:
        return JSON
    named = {item.name for item in ranges if item.possible}
    best: tuple[float, bool, Format] | None = None
    for quality, is_named, found in _candidates(ranges, named):
        if quality > 0 and (best is None or (quality, is_named) > best[:2]):
            best = (quality, is_named, found)
    return best[2] if best else None


def _candidates(ranges: list[MediaRange], named: set[str]) -> list[tuple[float, bool, Format]]:
    candidates: list[tuple[float, bool, Format]] = []
    for item in ranges:
        if not item.possible:
            continue
        if item.name in _FORMATS:
            candidates.append((item.quality, True, _FORMATS[item.name]))
        # A range that names a format says more about it than a wildcard (RFC 9110 12.5.1).
        candidates += [
            (item.quality, False, found)
            for found in _WILDCARDS.get(item.name, ())
            if found.media_type not in named
        ]
        # Browsers take XML too, but only as the page that they ask for first.
        if item.name == _HTML and "*/*" in named:
            candidates.append((item.quality, True, JSON))
    return candidates


def _not_acceptable(asked: str) -> Refusal:
    text = (
        f"{asked[:200]!r} cannot be answered; this server writes {FHIR_JSON} and {FHIR_XML}"
        " (FHIR 4.0, UTF-8)"
    )
    return Refusal(Issue("not-supported", text), status=406)


def check_content_type(header: str | None, body: str) -> str:
    """The media type of a request's body.

    body: `resource` for JSON or XML, `form` for the parameters of a search.
    Raises a 415 `Refusal` unless it is what the interaction takes.
    """
    name, parameters = media_type(header or "")
    expected = FORM if body == "form" else f"{FHIR_JSON} or {FHIR_XML}"
    if name not in ({FORM} if body == "form" else JSON_NAMES | XML_NAMES):
        found = f"the Content-Type {name!r}" if name else "no Content-Type"
        text = f"The request has {found}; expected {expected}"
        raise Refusal(Issue("not-supported", text), status=415)
    _check_parameters(parameters)
    return name


def check_patch_type(header: str | None) -> str:
    """The media type of a patch. Raises a 415 `Refusal` unless it is a format of patches."""
    name, parameters = media_type(header or "")
    patch_format(name)
    _check_parameters(parameters)
    return name


def _check_parameters(parameters: dict[str, str]) -> None:
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in _CHARSETS:
        text = f"The request's charset is {charset!r}; expected utf-8"
        raise Refusal(Issue("not-supported", text), status=415)
    version = parameters.get("fhirversion")
    if version not in _FHIR_VERSIONS:
        text = f"The request's fhirVersion is {version!r}; this server speaks 4.0"
        raise Refusal(Issue("not-supported", text), status=415)


def check_content_encoding(header: str | None) -> None:
    """Raises a 415 `Refusal` for a compressed body, which this server does not take."""
    if header is not None and header.strip().lower() not in ("", "identity"):
        text = f"The request's Content-Encoding is {header[:80]!r}; expected none"
        raise Refusal(Issue("not-supported", text), status=415)
