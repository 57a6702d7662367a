"""The routes of DICOMweb: `/dicom-web/studies/…`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from fhir_server.audit.trail import Audit
from fhir_server.context import Context
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.dicomweb import accepting
from fhir_server.dicomweb.asking import understood
from fhir_server.dicomweb.finding import Finding
from fhir_server.dicomweb.noting import noting
from fhir_server.dicomweb.pictures import Pictures
from fhir_server.dicomweb.places import Place, bulk_path, place
from fhir_server.dicomweb.retrieving import JSON, Retrieving, frame_numbers
from fhir_server.dicomweb.storing import answer
from fhir_server.http.body import steady
from fhir_server.http.doors import NO_SNIFF, Doorway, answering, of_tenant
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Invalid, Issue, Refusal
from fhir_server.uploads.multipart import receive
from fhir_server.uploads.spool import Spool
from fhir_server.uploads.uploading import Asked, Uploads

PATH = "/dicom-web"

_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_EVERY = (_STUDY, _SERIES, _INSTANCE)
_STUDY_UID = "0020000D"

Handler = Callable[[Request], Awaitable[Response]]


def dicomweb_routes(
    archives: "Mapping[str, DicomWeb]", audit: Audit, doorway: Doorway
) -> APIRouter:
    """All routes. archives: by the tenant whose images they keep."""
    routes = APIRouter(prefix=PATH)

    def add(path: str, name: str, method: str = "GET") -> None:
        async def handler(request: Request) -> Response:
            request.state.ctx = await doorway.context(request)
            handle: Handler = getattr(of_tenant(archives, request.state.ctx), name)
            return await handle(request)

        handler.__name__ = name
        routes.add_api_route(
            path, answering(noting(audit, handler)), methods=[method],
            include_in_schema=False, response_model=None,
        )  # fmt: skip

    add("/studies", "find_studies")
    add("/series", "find_in_study")
    add("/instances", "find_in_study")
    add(f"{_STUDY}/series", "find_in_study")
    add(f"{_STUDY}/instances", "find_in_study")
    add(f"{_SERIES}/instances", "find_in_study")
    for path in _EVERY:
        add(f"{path}/metadata", "metadata")
        add(f"{path}/rendered", "rendered")
        add(f"{path}/thumbnail", "thumbnail")
        add(path, "files")
    add(_INSTANCE + "/frames/{frames}", "frames")
    add(_INSTANCE + "/frames/{frame}/rendered", "rendered")
    add(_INSTANCE + "/frames/{frame}/thumbnail", "thumbnail")
    add(_INSTANCE + "/bulk/{path:path}", "bulk")
    add("/studies", "store", "POST")
    add(_STUDY, "store", "POST")
    return routes


class DicomWeb:
    """The door to one archive."""

    def __init__(
        self, engine: Engine, archive: Orthanc, uploads: Uploads, doorway: Doorway
    ) -> None:
        self._finding = Finding(engine, archive)
        self._retrieving = Retrieving(archive, self._finding)
        self._pictures = Pictures(archive, self._finding)
        self._uploads = uploads
        self._doorway = doorway

    async def find_studies(self, request: Request) -> Response:
        """QIDO-RS at the level of studies."""
        accepting.check_json(_accept(request))
        query = understood("study", request.query_params.multi_items())
        rows = await self._finding.studies(await self._context(request), query, self._base(request))
        request.state.shown = [row[_STUDY_UID]["Value"][0] for row in rows if _STUDY_UID in row]
        return _rows(rows, fuzzy=query.fuzzy)

    async def find_in_study(self, request: Request) -> Response:
        """QIDO-RS of series or instances, of one study."""
        accepting.check_json(_accept(request))
        level = "series" if request.url.path.endswith("series") else "instance"
        query = understood(level, request.query_params.multi_items())
        given = request.path_params.get("study") or query.values.get("StudyInstanceUID", "")
        if not given:
            text = "Series and instances are found in a study: expected StudyInstanceUID"
            raise Invalid(Issue("required", text))
        at = place(given, request.path_params.get("series", ""))
        find = self._finding.series if level == "series" else self._finding.instances
        rows = await find(await self._context(request), at, query, self._base(request))
        return _rows(rows, fuzzy=query.fuzzy)

    async def metadata(self, request: Request) -> Response:
        """WADO-RS metadata."""
        accepting.check_json(_accept(request))
        at, ctx = _place(request), await self._context(request)
        return await self._retrieving.metadata(ctx, at, self._base(request))

    async def files(self, request: Request) -> Response:
        """WADO-RS of whole files."""
        accept = accepting.instances(_accept(request))
        return await self._retrieving.files(await self._context(request), _place(request), accept)

    async def frames(self, request: Request) -> Response:
        """WADO-RS of frames."""
        accept = accepting.frames(_accept(request))
        numbers = frame_numbers(request.path_params["frames"])
        at, ctx = _place(request), await self._context(request)
        return await self._retrieving.frames(ctx, at, numbers, accept)

    async def bulk(self, request: Request) -> Response:
        """WADO-RS of bulk data."""
        alone = accepting.frames(_accept(request)).alone
        path = bulk_path(request.path_params["path"])
        at, ctx = _place(request), await self._context(request)
        return await self._retrieving.bulk(ctx, at, path, alone=alone)

    async def rendered(self, request: Request) -> Response:
        """WADO-RS of pictures."""
        query = dict(request.query_params)
        accept = query.get("accept") or _accept(request)
        at, ctx = _place(request), await self._context(request)
        return await self._pictures.rendered(ctx, at, _frame(request), accept, query)

    async def thumbnail(self, request: Request) -> Response:
        """WADO-RS of thumbnails."""
        known = request.headers.get("if-none-match", "")
        query = dict(request.query_params)
        at, ctx = _place(request), await self._context(request)
        return await self._pictures.thumbnail(ctx, at, _frame(request), query, known)

    async def store(self, request: Request) -> Response:
        """STOW-RS."""
        content_type = request.headers.get("content-type", "")
        if not content_type.lower().startswith("multipart/related"):
            text = 'Expected Content-Type: multipart/related; type="application/dicom"'
            raise Refusal(Issue("not-supported", text), status=415)
        at, ctx = _place(request), await self._context(request)
        self._uploads.check_granted(ctx)
        spool = await asyncio.to_thread(Spool, self._uploads.settings)
        try:
            body = steady(request.stream())
            await receive(spool, content_type, body, part_type="application/dicom")
            asked = Asked(study=at.study)
            report = await self._uploads.take(ctx, spool, asked)
        finally:
            await asyncio.to_thread(spool.remove)
        status, found = answer(report, at, self._base(request))
        return Response(msgspec.json.encode(found), status, NO_SNIFF, media_type=JSON)

    async def _context(self, request: Request) -> Context:
        ctx: Context = request.state.ctx
        return ctx

    def _base(self, request: Request) -> str:
        return self._doorway.root(request) + PATH


def _accept(request: Request) -> str:
    return request.headers.get("accept", "*/*")


def _place(request: Request) -> Place:
    given = request.path_params
    return place(given.get("study", ""), given.get("series", ""), given.get("instance", ""))


def _frame(request: Request) -> int | None:
    text = request.path_params.get("frame")
    if text is None:
        return None
    numbers = frame_numbers(text)
    if len(numbers) != 1:
        raise Invalid(Issue("value", "Expected one frame"))
    return numbers[0]


def _rows(rows: list[dict[str, Any]], *, fuzzy: bool) -> Response:
    headers = dict(NO_SNIFF)
    if fuzzy:
        headers["Warning"] = '299 - "fuzzymatching is not supported; names match as they are"'
    return Response(msgspec.json.encode(rows), 200, headers, media_type=JSON)
