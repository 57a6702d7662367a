"""Where an archive says that there is something to look at; nothing it says is believed.

A hint is signed with a secret that only the archive's side of the bridge has, holds nothing but
the id of a study, and only has the archive asked sooner.
"""

import hashlib
import hmac
import re
import time
from datetime import UTC, datetime

import msgspec
from fastapi import APIRouter, Request, Response

from fhir_server.dicom.uids import is_archive_id
from fhir_server.http.body import steady
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Refusal
from fhir_server.storage import archive
from fhir_server.storage.migrate import DEFAULT_TENANT

PATH = "/orthanc/hint"

_LONGEST_BODY = 1024
# Clocks differ by less; an old hint is no secret worth repeating.
_SKEW_SECONDS = 300
_MOMENT = re.compile(r"[0-9]{1,12}")


class Hint(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What an archive says."""

    change: str
    study: str


def signature(secret: str, moment: str, body: bytes) -> str:
    """The signature of a hint, over its time and its body."""
    message = moment.encode() + b"." + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def hint_routes(engine: Engine, name: str, secret: str, tenant: str) -> APIRouter:
    """The route that takes hints of a tenant's archive."""
    routes = APIRouter()

    path = PATH if tenant == DEFAULT_TENANT else f"/t/{tenant}{PATH}"

    @routes.post(path, include_in_schema=False)
    async def hint(request: Request) -> Response:
        try:
            body = await _body(request)
        except Refusal as refused:
            return Response(status_code=refused.status)
        if body is None or not _is_signed(request, secret, body):
            return Response(status_code=403)
        try:
            found = msgspec.json.decode(body, type=Hint)
        except msgspec.MsgspecError:
            return Response(status_code=400)
        if not is_archive_id(found.study):
            return Response(status_code=400)
        now = datetime.now(UTC)
        try:
            async with engine.store.transaction(tenant) as connection:
                await archive.mark(connection, tenant, name, [found.study], now)
        except Refusal as refused:
            return Response(status_code=refused.status)
        return Response(status_code=204)

    return routes


async def _body(request: Request) -> bytes | None:
    body = b""
    async for chunk in steady(request.stream()):
        body += chunk
        if len(body) > _LONGEST_BODY:
            return None
    return body


def _is_signed(request: Request, secret: str, body: bytes) -> bool:
    moment = request.headers.get("x-hint-time", "")
    given = request.headers.get("x-hint-signature", "")
    if not secret or not _MOMENT.fullmatch(moment):
        return False
    if abs(time.time() - int(moment)) > _SKEW_SECONDS:
        return False
    return hmac.compare_digest(given.encode(), signature(secret, moment, body).encode())
