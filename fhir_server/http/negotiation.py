"""Which format a request is in and which one the answer takes (R4 http.html#mime-type)."""

from dataclasses import dataclass

from fhir_server.outcome import Issue, Refusal
from fhir_server.patch import patch_format

FHIR_JSON = "application/fhir+json"
CONTENT_TYPE = f"{FHIR_JSON}; charset=utf-8"

# What a client may call JSON, and the media type each name is answered with.
JSON_NAMES = frozenset(
    {FHIR_JSON, "application/json", "text/json", "application/json+fhir", "json"}
)
FORM = "application/x-www-form-urlencoded"
_WILDCARDS = frozenset({"*/*", "application/*"})


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One alternative of an Accept header."""

    name: str
    quality: float
    fhir_version: str | None


def media_type(header: str) -> tuple[str, dict[str, str]]:
    """A media type in lower case and its parameters (RFC 9110 8.3.1)."""
    name, *rest = header.split(";")
    parameters = {}
    for item in rest:
        key, _, value = item.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"')
    return name.strip().lower(), parameters


def check_accept(accept: str | None, format_: str | None) -> None:
    """Raises a 406 `Refusal` unless the client takes JSON; `_format` outweighs Accept."""
    if format_ is not None:
        name = media_type(format_.replace(" ", "+"))[0]
        if name not in JSON_NAMES and name not in _WILDCARDS:
            raise _not_acceptable(f"_format={format_}")
        return
    if not accept or accept in ("*/*", FHIR_JSON):
        return
    ranges = [_media_range(item) for item in accept.split(",") if item.strip()]
    wanted = {item.name for item in ranges if item.quality > 0 and _is_r4(item)}
    if ranges and not wanted & (JSON_NAMES | _WILDCARDS):
        raise _not_acceptable(f"Accept: {accept}")


def _media_range(text: str) -> MediaRange:
    name, parameters = media_type(text)
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        quality = 1.0
    return MediaRange(name, quality, parameters.get("fhirversion"))


def _is_r4(item: MediaRange) -> bool:
    return item.fhir_version in (None, "4.0", "4.0.1")


def _not_acceptable(asked: str) -> Refusal:
    text = f"{asked[:200]!r} cannot be answered; this server writes {FHIR_JSON} (FHIR 4.0)"
    return Refusal(Issue("not-supported", text), status=406)


def check_content_type(header: str | None, body: str) -> None:
    """Raises a 415 `Refusal` unless a request's body is what its interaction takes.

    body: `resource` for JSON, `form` for the parameters of a search.
    """
    name, parameters = media_type(header or "")
    expected = FORM if body == "form" else FHIR_JSON
    known = {FORM} if body == "form" else JSON_NAMES
    if name not in known:
        found = f"the Content-Type {name!r}" if name else "no Content-Type"
        text = f"The request has {found}; expected {expected}"
        raise Refusal(Issue("not-supported", text), status=415)
    _check_parameters(parameters)


def check_patch_type(header: str | None) -> str:
    """The media type of a patch. Raises a 415 `Refusal` unless it is a format of patches."""
    name, parameters = media_type(header or "")
    patch_format(name)
    _check_parameters(parameters)
    return name


def _check_parameters(parameters: dict[str, str]) -> None:
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        text = f"The request's charset is {charset!r}; expected utf-8"
        raise Refusal(Issue("not-supported", text), status=415)
    version = parameters.get("fhirversion")
    if version not in (None, "4.0", "4.0.1"):
        text = f"The request's fhirVersion is {version!r}; this server speaks 4.0"
        raise Refusal(Issue("not-supported", text), status=415)


def check_content_encoding(header: str | None) -> None:
    """Raises a 415 `Refusal` for a compressed body, which this server does not take."""
    if header is not None and header.strip().lower() not in ("", "identity"):
        text = f"The request's Content-Encoding is {header[:80]!r}; expected none"
        raise Refusal(Issue("not-supported", text), status=415)
