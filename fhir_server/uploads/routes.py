"""Where uploads come in: `POST /dicom/uploads`, one file, a form of many, or a zip file."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from fhir_server.fhir_json import encode
from fhir_server.http.body import steady
from fhir_server.http.doors import NO_SNIFF, Doorway, answering, of_tenant
from fhir_server.http.negotiation import CONTENT_TYPE
from fhir_server.outcome import Invalid, Issue
from fhir_server.uploads.multipart import receive
from fhir_server.uploads.report import FileReport, UploadReport
from fhir_server.uploads.spool import Spool
from fhir_server.uploads.uploading import Asked, Uploads

Json = dict[str, Any]

PATH = "/dicom/uploads"

_FLAGS = {"true": True, "false": False, "": False}
_KNOWN = frozenset({"order", "source", "remove-private"})


def upload_routes(archives: Mapping[str, Uploads], doorway: Doorway) -> APIRouter:
    """The route that takes uploads. archives: by the tenant whose images they keep."""
    routes = APIRouter()

    async def upload(request: Request) -> Response:
        ctx = await doorway.context(request)
        uploads = of_tenant(archives, ctx)
        uploads.check_granted(ctx)
        spool = await asyncio.to_thread(Spool, uploads.settings)
        try:
            content_type = request.headers.get("content-type", "")
            received = await receive(spool, content_type, steady(request.stream()))
            report = await uploads.take(ctx, spool, _asked(request, received.fields))
        finally:
            await asyncio.to_thread(spool.remove)
        return _answer(ctx.base_url, report)

    routes.add_api_route(
        PATH, answering(upload), methods=["POST"], include_in_schema=False, response_model=None
    )
    return routes


def _asked(request: Request, fields: dict[str, str]) -> Asked:
    given = dict(request.query_params) | fields
    if unknown := sorted(given.keys() - _KNOWN):
        text = f"{unknown[0][:50]!r}: expected {', '.join(sorted(_KNOWN))}, or a file"
        raise Invalid(Issue("not-supported", text))
    flag = given.get("remove-private", "")
    if flag not in _FLAGS:
        raise Invalid(Issue("value", f"remove-private={flag[:20]!r}: expected true or false"))
    return Asked(given.get("source") or "api", given.get("order", ""), _FLAGS[flag])


def _answer(base_url: str, report: UploadReport) -> Response:
    """A Parameters resource with a part for each file: 200, or 422 if none was taken."""
    parts: list[Json] = [
        {"name": "outcome", "valueCode": report.outcome},
        {"name": "record", "valueReference": {"reference": report.record}},
        *({"name": "file", "part": list(_parts(each))} for each in report.files),
    ]
    body = encode({"resourceType": "Parameters", "parameter": parts})
    status = 422 if report.outcome == "failed" else 200
    headers = {"Location": f"{base_url}/{report.record}"} | NO_SNIFF
    return Response(body, status, headers, media_type=CONTENT_TYPE)


def _parts(file: FileReport) -> list[Json]:
    found: list[Json] = [
        {"name": "name", "valueString": file.name},
        {"name": "status", "valueCode": file.status},
        {"name": "size", "valueDecimal": file.size},
    ]
    if file.md5:
        found.append({"name": "md5", "valueString": file.md5})
    if file.checked is not None:
        found += [
            {"name": "study", "valueOid": f"urn:oid:{file.checked.study}"},
            {"name": "series", "valueOid": f"urn:oid:{file.checked.series}"},
            {"name": "instance", "valueOid": f"urn:oid:{file.checked.instance}"},
        ]
        found += [{"name": "warning", "valueString": each} for each in file.checked.warnings]
    found += [{"name": "corrected", "valueString": each} for each in file.changes]
    if file.reason:
        found += [
            {"name": "code", "valueCode": file.code},
            {"name": "reason", "valueString": file.reason},
        ]
    return found
