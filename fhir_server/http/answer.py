"""Results and refusals as HTTP responses (R4 http.html#summary)."""

import asyncio
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from fhir_server.context import Context
from fhir_server.fhir_json import decode, encode, encode_pretty
from fhir_server.http.body import Send
from fhir_server.http.negotiation import JSON, Format
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import DONE, Result
from fhir_server.outcome import Refusal, operation_outcome
from fhir_server.xml import encode_xml

Header = tuple[bytes, bytes]

_VARY = (b"vary", b"accept")
_WRITING = frozenset({"POST", "PUT", "PATCH"})
# Larger bodies become XML in a thread, so that other requests go on.
_LARGE = 256 * 1024


async def respond(send: Send, status: int, headers: list[Header], body: bytes | None) -> None:
    """Send a whole response."""
    if status not in (204, 304):
        headers.append((b"content-length", str(len(body or b"")).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body or b""})


async def answer_result(
    send: Send, ctx: Context, request: Request, result: Result, format_: Format, *, pretty: bool
) -> None:
    """Send what an interaction gave; HEAD gets the headers alone."""
    headers: list[Header] = [(b"x-request-id", ctx.request_id.encode()), _VARY]
    if result.version:
        headers.append((b"etag", b'W/"%d"' % result.version))
    if result.last_updated is not None:
        headers.append((b"last-modified", _http_date(result.last_updated)))
    if result.created:
        headers.append((b"location", result.location(ctx.base_url).encode()))
    headers.extend((name.encode(), value.encode()) for name, value in result.headers.items())
    status, body = result.status, _preferred_body(request, result)
    if status == 204 and body is not None:
        status = 200
    if body is not None:
        headers.append(format_.header)
        if format_.is_xml:
            body = await _as_xml(body, pretty=pretty)
        elif pretty:
            body = encode_pretty(decode(body))
    if request.method == "HEAD":
        headers.append((b"content-length", str(len(body or b"")).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    await respond(send, status, headers, body)


async def _as_xml(body: bytes, *, pretty: bool) -> bytes:
    if len(body) < _LARGE:
        return encode_xml(decode(body), pretty=pretty)
    return await asyncio.to_thread(lambda: encode_xml(decode(body), pretty=pretty))


@lru_cache(maxsize=1024)
def _http_date(instant: datetime) -> bytes:
    return format_datetime(instant, usegmt=True).encode()


def _preferred_body(request: Request, result: Result) -> bytes | None:
    """What the client wants back from a write (R4 http.html#ops); reads give the resource."""
    returns = request.prefer.returns
    if returns == "OperationOutcome" and result.status != 304 and _is_write(request, result):
        return encode(operation_outcome(result.outcome or [DONE]))
    if returns == "minimal" and _is_write(request, result):
        return None
    return result.body


def _is_write(request: Request, result: Result) -> bool:
    if request.method == "DELETE":
        return True
    return request.method in _WRITING and bool(result.id)


async def answer_refusal(
    send: Send,
    request_id: str,
    refusal: Refusal,
    format_: Format = JSON,
    *,
    head: bool = False,
    pretty: bool = False,
) -> None:
    """Send an OperationOutcome."""
    format_, body = _outcome(refusal, format_, pretty=pretty)
    headers = [format_.header, (b"x-request-id", request_id.encode()), _VARY]
    headers.extend(
        (name.lower().encode(), value.encode()) for name, value in refusal.headers.items()
    )
    if head:
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    await respond(send, refusal.status, headers, body)


def _outcome(refusal: Refusal, format_: Format, *, pretty: bool) -> tuple[Format, bytes]:
    outcome = operation_outcome(refusal.issues)
    if format_.is_xml:
        try:
            return format_, encode_xml(outcome, pretty=pretty)
        except Refusal:
            # It quotes a character that XML does not have.
            format_ = JSON
    return format_, (encode_pretty if pretty else encode)(outcome)
