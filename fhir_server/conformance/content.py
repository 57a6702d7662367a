"""Bodies with their headers: what was sent, what came back, and what fixtures hold."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from fhir_server import fhir_json
from fhir_server.outcome import Invalid
from fhir_server.xml import decode_xml

Headers = tuple[tuple[str, str], ...]


class NoResource(Exception):
    """A body that is no FHIR resource; says why."""


class Content:
    """A body and its headers; fixtures have no headers.

    what: how messages call it, such as "the response 'created'".
    """

    def __init__(self, what: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()):
        self.what = what
        self.body = body
        self.headers: Headers = tuple(headers)

    def header(self, name: str) -> str | None:
        """The value of a header field, several of them joined as HTTP has it."""
        found = [value for field, value in self.headers if field.lower() == name.lower()]
        return ", ".join(found) if found else None

    @property
    def resource(self) -> dict[str, Any]:
        """The body as a resource. Raises NoResource."""
        value = self._decoded
        if isinstance(value, str):
            raise NoResource(f"{self.what} {value}")
        return value

    @cached_property
    def _decoded(self) -> dict[str, Any] | str:
        text = self.body.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not text:
            return "has no body"
        try:
            value = decode_xml(text) if text[:1] == b"<" else fhir_json.decode(text)
        except Invalid as error:
            return f"is no FHIR resource: {error}"
        if not isinstance(value, dict):
            return "is no FHIR resource but an array or a single value"
        return value


class Held(Content):
    """A fixture that is a resource in memory."""

    def __init__(self, what: str, resource: dict[str, Any]):
        super().__init__(what, fhir_json.encode(resource))
        self._held = resource

    @property
    def resource(self) -> dict[str, Any]:
        """The resource itself."""
        return self._held


class Request(Content):
    """What was sent, or would be."""

    def __init__(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        encode_url: bool = True,
    ) -> None:
        super().__init__("the request", body, headers)
        self.method = method
        self.url = url
        self.encode_url = encode_url


class Response(Content):
    """What came back."""

    def __init__(
        self, status: int, headers: Iterable[tuple[str, str]], body: bytes, seconds: float
    ) -> None:
        super().__init__("the response", body, headers)
        self.status = status
        self.seconds = seconds

    @property
    def media_type(self) -> str:
        """The media type without its parameters."""
        return media_type(self.header("Content-Type") or "")


def media_type(header: str) -> str:
    """What stands before the parameters, in lower case."""
    return header.partition(";")[0].strip().lower()
