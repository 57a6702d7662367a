"""The FHIR base URL as an ASGI application: one request in, one interaction, one response out."""

import asyncio
import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import getrandbits
from typing import Any
from urllib.parse import unquote

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.http import territory
from fhir_server.http.answer import answer_refusal, answer_result
from fhir_server.http.body import ClientGone, Receive, Scope, Send, read_body
from fhir_server.http.metrics import observe
from fhir_server.http.negotiation import (
    JSON,
    XML_NAMES,
    Format,
    check_content_encoding,
    check_content_type,
    check_patch_type,
    negotiate,
)
from fhir_server.http.protection import Headers as ProtectingHeaders
from fhir_server.http.protection import protection
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.entries import http_date
from fhir_server.interactions.performing import perform
from fhir_server.interactions.request import Prefer, Request, decode_query
from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.operations.script_run import HEADER
from fhir_server.outcome import Invalid, Issue, Refusal, Unavailable, failure
from fhir_server.patch import parse_patch
from fhir_server.security.gate import NOBODY, Asked, Gate, OpenGate
from fhir_server.xml import decode_xml

log = logging.getLogger(__name__)

Headers = dict[str, str]

# A larger document is read in a thread, so that other requests go on.
_LARGE_XML = 256 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


# What has to be known before anybody can log in.
_FOR_EVERYBODY = frozenset({"capabilities"})


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the door needs to know.

    path: of the FHIR base URL. base_url: as configured; None follows the Host header.
    timeout: seconds a request may take.
    gate: decides who comes in. everybody: whether it lets everybody do everything.
    """

    path: str = "/fhir"
    base_url: str | None = None
    max_body_bytes: int = 64 * 1024 * 1024
    timeout: float = 120.0
    access_log: bool = False
    gate: Gate = field(default_factory=OpenGate)
    everybody: bool = False


class FhirApplication:
    """Answers everything below the FHIR base URL."""

    def __init__(self, engine: Engine, settings: HttpSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._always = protection(settings.base_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry out one HTTP request."""
        started = time.perf_counter()
        headers = _headers(scope["headers"])
        exchange = _Exchange(
            self._engine, self._settings, self._always, scope, headers, receive, send
        )
        try:
            async with asyncio.timeout(self._settings.timeout):
                await exchange.carry_out()
        except ClientGone:
            # Who broke off does not read this, who framed the body wrongly does.
            text = "The request's body ends too soon, or is not framed as HTTP wants it"
            await exchange.refuse(Invalid(Issue("incomplete", text)))
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except TimeoutError:
            text = f"The request took longer than {self._settings.timeout:g} seconds"
            await exchange.refuse(Unavailable(Issue("timeout", text)))
        except Exception:
            # The traceback names code and types; values of a resource stay out of the log.
            log.exception("request %s failed", exchange.request_id)
            await exchange.refuse(failure(exchange.request_id))
        seconds = time.perf_counter() - started
        observe(exchange.name, exchange.status, seconds)
        if self._settings.access_log:
            log.info(
                "request",
                extra={
                    "method": scope["method"],
                    "interaction": exchange.name,
                    "status": exchange.status,
                    "milliseconds": round(seconds * 1000, 2),
                    "request_id": exchange.request_id,
                },
            )


class _Exchange:
    """One request and its response."""

    def __init__(
        self,
        engine: Engine,
        settings: HttpSettings,
        always: ProtectingHeaders,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        send: Send,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._always = always
        self._scope = scope
        self._headers = headers
        self._receive = receive
        self._send_raw = send
        self._started = False
        self._pretty = False
        self._format: Format | None = None
        self.name = "unknown"
        self.status = 0
        given = headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else f"{getrandbits(64):016x}"

    async def carry_out(self) -> None:
        """Read the request, run its interaction, send the result."""
        method = self._scope["method"]
        query = decode_query(self._scope["query_string"])
        controls = dict(query)
        # First, because a refusal takes the negotiated format too.
        self._format = negotiate(self._headers.get("accept"), controls.get("_format"))
        self._pretty = _pretty(controls.get("_pretty"))
        definition, request = self._engine.router.route(method, self._segments())
        self.name = definition.name
        request.query = query
        self._read_headers(request)
        # Whoever may not come in need not have sent a body.
        ctx = await self._context(definition)
        await self._read_body(definition, request)
        result = await perform(self._engine, ctx, definition, request)
        await answer_result(self._send, ctx, request, result, self._format, pretty=self._pretty)

    async def refuse(self, refusal: Refusal) -> None:
        """Send an OperationOutcome, unless a response is under way already."""
        if not self._started:
            head = self._scope["method"] == "HEAD"
            format_ = self._format or self._accepted()
            await answer_refusal(
                self._send, self.request_id, refusal, format_, head=head, pretty=self._pretty
            )

    def _accepted(self) -> Format:
        """What Accept alone says, for a request whose query cannot be read."""
        try:
            return negotiate(self._headers.get("accept"), None)
        except Refusal:
            return JSON

    async def _send(self, message: Scope) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            message["headers"].extend(self._always)
        await self._send_raw(message)

    def _segments(self) -> list[str]:
        # The raw path, because an encoded slash belongs to a segment and does not separate two.
        raw = self._scope.get("raw_path") or self._scope["path"].encode()
        path = raw.decode("latin-1").partition("?")[0]
        start = len(self._scope.get("root_path", "")) + len(self._settings.path)
        path = path[start:].strip("/")
        return [unquote(part) for part in path.split("/")] if path else []

    async def _context(self, definition: InteractionDefinition) -> Context:
        base_url = self._settings.base_url
        if base_url is None:
            host = self._headers.get("host", "localhost")
            base_url = f"{self._scope.get('scheme', 'http')}://{host}{self._settings.path}"
        if root_path := self._scope.get("root_path"):
            base_url = territory.base_url(base_url, self._settings.path, root_path)
        test_run = HEADER in self._headers
        address = (self._scope.get("client") or ("",))[0]
        admitted = NOBODY
        if definition.name not in _FOR_EVERYBODY:
            asked = Asked(self._headers, address, self._scope.get("tenant"))
            admitted = await self._settings.gate.admit(asked)
        return Context(
            admitted.tenant, admitted.principal, admitted.access, "fhir", address,
            self.request_id, base_url, test_run,
        )  # fmt: skip

    def _read_headers(self, request: Request) -> None:
        headers = self._headers
        request.prefer = Prefer.parse(headers.get("prefer"))
        request.if_match = headers.get("if-match")
        request.if_none_match = headers.get("if-none-match")
        request.if_none_exist = _utf8("If-None-Exist", headers.get("if-none-exist"))
        if (provenance := _utf8("X-Provenance", headers.get("x-provenance"))) is not None:
            request.provenance = _decode_header("X-Provenance", provenance)
        request.if_modified_since = http_date(headers.get("if-modified-since"))

    async def _read_body(self, definition: InteractionDefinition, request: Request) -> None:
        if not definition.body:
            return
        content_type = self._headers.get("content-type")
        if definition.body == "resource" or (definition.body == "parameters" and content_type):
            media_type = check_content_type(content_type, "resource")
        elif definition.body == "patch":
            media_type = check_patch_type(content_type)
        check_content_encoding(self._headers.get("content-encoding"))
        body = await read_body(
            self._receive, self._headers.get("content-length"), self._settings.max_body_bytes
        )
        if definition.body == "form":
            if body:
                check_content_type(content_type, "form")
                self._read_form(request, body)
        elif definition.body == "parameters" and not body:
            return
        elif definition.body == "parameters" and not content_type:
            check_content_type(None, "resource")
        elif not body:
            text = f"The request has no body; expected a {definition.body}"
            raise Invalid(Issue("required", text))
        elif definition.body == "patch":
            request.patch = parse_patch(media_type, body)
        elif media_type in XML_NAMES:
            request.resource = await _decode_xml(body)
        else:
            request.resource = decode(body)

    def _read_form(self, request: Request, body: bytes) -> None:
        given = decode_query(body)
        controls = dict(given)
        if "_format" in controls:
            self._format = negotiate(None, controls["_format"])
        self._pretty = self._pretty or _pretty(controls.get("_pretty"))
        request.query = request.query + given


async def _decode_xml(body: bytes) -> Any:
    return await asyncio.to_thread(decode_xml, body) if len(body) > _LARGE_XML else decode_xml(body)


def _pretty(value: str | None) -> bool:
    if value not in (None, "true", "false"):
        raise Invalid(Issue("value", f"_pretty={value!r}: expected true or false"))
    return value == "true"


def _headers(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Header fields by name; one that is given several times is one list (RFC 9110 5.3)."""
    found: Headers = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _decode_header(name: str, text: str) -> Any:
    try:
        return decode(text.encode())
    except Invalid:
        raise Invalid(Issue("structure", f"The header {name} is not valid JSON")) from None


def _utf8(name: str, header: str | None) -> str | None:
    """A header that may hold names, which clients send as UTF-8; HTTP itself says Latin-1."""
    if header is None or header.isascii():
        return header
    try:
        return header.encode("latin-1").decode("utf-8")
    except ValueError:
        raise Invalid(Issue("invalid", f"The header {name} is not UTF-8")) from None
