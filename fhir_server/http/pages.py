"""The pages beside FHIR: the landing page, health, metrics, OpenAPI."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from fhir_server import __version__
from fhir_server.fhir_json import encode
from fhir_server.http.body import Receive, Scope, Send
from fhir_server.http.fhir import FhirApplication, HttpSettings
from fhir_server.http.landing import PAGE_HEADERS, page
from fhir_server.http.metrics import exposition
from fhir_server.http.negotiation import CONTENT_TYPE
from fhir_server.http.openapi import description
from fhir_server.http.protection import protected, protection
from fhir_server.http.territory import entered
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Issue, Refusal, operation_outcome
from fhir_server.storage import resources

# Counting every resource takes a moment on a full database; people reload pages.
_COUNTS_KEPT_SECONDS = 10.0
_READY_WITHIN_SECONDS = 2.0
_READING = ["GET", "HEAD"]


# What runs from the start of the process to its end.
Life = Callable[[], AbstractAsyncContextManager[None]]
# What a part beside the database tells of itself; it does not make the server less ready.
Health = Callable[[], Awaitable[Mapping[str, str | int]]]


@dataclass(frozen=True, slots=True)
class Beside:
    """What further parts bring: routes beside FHIR, and what they tell of their health.

    below: paths below the FHIR base URL that are no FHIR, and that everybody may ask for.
    """

    routes: Sequence[APIRouter] = ()
    health: Sequence[Health] = ()
    below: frozenset[str] = frozenset()


class Application:
    """The whole HTTP application: FHIR below its base URL, pages for people beside it.

    FHIR requests do not pass through the pages' middleware, which would cost a tenth of a read.
    """

    def __init__(
        self, engine: Engine, settings: HttpSettings, life: Life, beside: Beside | None = None
    ) -> None:
        self.engine = engine
        beside = beside or Beside()
        self.pages = pages(engine, settings, life, beside)
        self._pages = protected(self.pages, protection(settings.base_url))
        self._fhir = FhirApplication(engine, settings)
        self._path = settings.path
        self._below = settings.path + "/"
        self._no_fhir = beside.below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the start and end of the process."""
        if scope["type"] == "http":
            scope = entered(scope)
            path = scope["path"][len(scope.get("root_path", "")) :]
            below = path.startswith(self._below) or path == self._path
            if below and path not in self._no_fhir:
                await self._fhir(scope, receive, send)
                return
        await self._pages(scope, receive, send)


def pages(engine: Engine, settings: HttpSettings, life: Life, beside: Beside) -> FastAPI:
    """The pages, inside whose life everything else runs."""
    # No documentation pages: FastAPI's load their scripts from a host that hospitals do not reach.
    app = FastAPI(
        title="FHIR server",
        version=__version__,
        lifespan=lambda _: life(),
        docs_url=None,
        redoc_url=None,
    )
    _add_pages(app, engine, settings, beside.health)
    for routes in beside.routes:
        app.include_router(routes)

    document = description(engine.router, settings.path, engine.definitions.resource_types)
    app.openapi = lambda: document  # type: ignore[method-assign]

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def not_here(request: Request, error: Any) -> Response:
        text = f"There is nothing at {request.url.path!r}; FHIR is below {settings.path}"
        issue = Issue("not-found", text)
        if error.status_code == 405:
            issue = Issue("not-supported", f"{request.method} is not possible here")
        body = encode(operation_outcome([issue]))
        return Response(body, error.status_code, error.headers, media_type=CONTENT_TYPE)

    return app


def _add_pages(
    app: FastAPI, engine: Engine, settings: HttpSettings, health: Sequence[Health]
) -> None:
    counts = _Counts(engine)

    @app.api_route("/", methods=_READING, include_in_schema=False)
    async def landing(request: Request) -> HTMLResponse:
        base_url = (
            settings.base_url or f"{request.url.scheme}://{request.url.netloc}{settings.path}"
        )
        return HTMLResponse(
            page(base_url, await counts.get(), everybody=settings.everybody), headers=PAGE_HEADERS
        )

    @app.api_route("/health/live", methods=_READING, include_in_schema=False)
    async def live() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.api_route("/health/ready", methods=_READING, include_in_schema=False)
    async def ready() -> JSONResponse:
        try:
            async with (
                asyncio.timeout(_READY_WITHIN_SECONDS),
                engine.store.connection("default") as found,
            ):
                await found.execute("select 1")
            engine.indexes.of("default")
            more = [await asyncio.wait_for(tell(), _READY_WITHIN_SECONDS) for tell in health]
        except (Refusal, TimeoutError):
            return JSONResponse({"status": "unavailable", "database": "does not answer"}, 503)
        told: dict[str, str | int] = {"status": "ok", "database": "ok"}
        for each in more:
            told |= each
        return JSONResponse(told)

    @app.api_route("/metrics", methods=_READING, include_in_schema=False)
    async def metrics() -> Response:
        media_type, text = exposition()
        return Response(text, media_type=media_type)


class _Counts:
    """How many resources there are, counted at most once in a while."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counted = 0.0
        self._counts: dict[str, int] | None = None

    async def get(self) -> dict[str, int] | None:
        """Resources by type; None when the database does not answer."""
        if self._counts is None or time.monotonic() - self._counted > _COUNTS_KEPT_SECONDS:
            try:
                async with self._engine.store.connection("default") as connection:
                    statements = self._engine.store.statements("default")
                    self._counts = await resources.counts_by_type(connection, statements)
            except Refusal:
                return None
            self._counted = time.monotonic()
        return self._counts
