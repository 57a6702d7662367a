"""What doors beside FHIR have in common: who asks, and refusals as OperationOutcomes."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from random import getrandbits
from typing import ParamSpec, TypeVar

from fastapi import Request, Response

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.http.negotiation import CONTENT_TYPE
from fhir_server.outcome import Issue, NotFound, Refusal, failure, operation_outcome
from fhir_server.security.gate import Asked, Gate

log = logging.getLogger(__name__)

_Given = ParamSpec("_Given")
_Archive = TypeVar("_Archive")

NO_SNIFF = {"X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Doorway:
    """What a door beside FHIR needs to know of whoever comes in by it.

    name: of the door. base_url: of FHIR as configured, None to follow the Host header.
    path: at the end of the FHIR base URL. gate: decides who comes in.
    """

    name: str
    gate: Gate
    base_url: str | None
    path: str

    def root(self, request: Request) -> str:
        """The URL above the FHIR base URL, as the client sees it: of the server or a territory."""
        prefix: str = request.scope.get("root_path", "")
        if self.base_url is not None:
            return self.base_url.removesuffix(self.path) + prefix
        return f"{request.url.scheme}://{request.url.netloc}{prefix}"

    async def context(self, request: Request) -> Context:
        """Who asks. Raises `Unauthorized` and a 403 `Refusal`."""
        address = request.client.host if request.client else ""
        admitted = await self.gate.admit(
            Asked(request.headers, address, request.scope.get("tenant"))
        )
        return admitted.into(
            Context(
                door=self.name,
                address=address,
                request_id=f"{getrandbits(64):016x}",
                base_url=self.root(request) + self.path,
            )
        )


def of_tenant(archives: Mapping[str, _Archive], ctx: Context) -> _Archive:
    """What belongs to the archive of a tenant. Raises `NotFound` for one that has none."""
    found = archives.get(ctx.tenant)
    if found is None:
        raise NotFound(Issue("not-found", "There is no image archive in this territory"))
    return found


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
