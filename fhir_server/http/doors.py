"""What doors beside FHIR have in common: who asks, and refusals as OperationOutcomes."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from random import getrandbits
from typing import ParamSpec

from fastapi import Request, Response

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.http.negotiation import CONTENT_TYPE
from fhir_server.outcome import Refusal, failure, operation_outcome

log = logging.getLogger(__name__)

_Given = ParamSpec("_Given")

NO_SNIFF = {"X-Content-Type-Options": "nosniff"}


def root_of(request: Request, base_url: str | None, path: str) -> str:
    """The URL of the server without a path, as the client sees it.

    base_url: of FHIR as configured, None to follow the Host header. path: at its end.
    """
    if base_url is not None:
        return base_url.removesuffix(path)
    return f"{request.url.scheme}://{request.url.netloc}"


def context_of(request: Request, base_url: str | None, path: str) -> Context:
    """Who asks, as at the door of FHIR."""
    return Context(
        request_id=f"{getrandbits(64):016x}", base_url=root_of(request, base_url, path) + path
    )


def refused(refusal: Refusal) -> Response:
    """A refusal as an answer."""
    body = encode(operation_outcome(refusal.issues))
    return Response(body, refusal.status, refusal.headers | NO_SNIFF, media_type=CONTENT_TYPE)


def answering(
    handler: Callable[_Given, Awaitable[Response]],
) -> Callable[_Given, Awaitable[Response]]:
    """A handler whose refusals are answers, and whose failures say nothing of what it handled."""

    @wraps(handler)
    async def answer(*given: _Given.args, **named: _Given.kwargs) -> Response:
        try:
            return await handler(*given, **named)
        except Refusal as refusal:
            return refused(refusal)
        except Exception:
            request_id = f"{getrandbits(64):016x}"
            log.exception("request %s failed", request_id)
            return refused(failure(request_id))

    return answer
