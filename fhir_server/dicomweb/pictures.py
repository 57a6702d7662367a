"""Pictures of images: rendered for screens, and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from fastapi import Response

from fhir_server.context import Context
from fhir_server.dicom.breaker import ArchiveAway
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.dicomweb.accepting import not_acceptable, picture
from fhir_server.dicomweb.finding import Finding
from fhir_server.dicomweb.places import Place
from fhir_server.dicomweb.windows import missing_window, read_window
from fhir_server.http.doors import NO_SNIFF
from fhir_server.outcome import Invalid, Issue, NotFound

Json = dict[str, Any]

_THUMBNAIL, _LARGEST = 256, 512
_LARGEST_VIEWPORT = 4096
# They have no picture of their own.
_NO_PICTURE = frozenset({"SR", "PR", "KO", "DOC", "ECG", "RTSTRUCT", "RTPLAN", "REG", "SEG"})


class Pictures:
    """Draws what can be drawn, by the archive; where there is nothing, says why in a picture."""

    def __init__(self, archive: Orthanc, finding: Finding) -> None:
        self._archive = archive
        self._finding = finding

    async def rendered(
        self, ctx: Context, at: Place, frame: int | None, accept: str, query: Mapping[str, str]
    ) -> Response:
        """An instance, or a frame of it, as a picture. Raises a 406 `Refusal` if it is none."""
        study = await self._finding.study(ctx, at.study)
        at = middle(study, at)
        type_ = picture(accept)
        viewport, window = _viewport(query), read_window(query.get("window", ""))
        if window is None:
            id_ = await self._archive.instance_of(at.instance)
            window = await missing_window(self._archive, id_, frame or 1) if id_ else None
        asked = [f"viewport={viewport[0]},{viewport[1]}"] if viewport else []
        asked += [f"window={window.text}"] if window else []
        # Commas as they are: the archive does not decode queries.
        path = f"{at.in_archive}{f'/frames/{frame}' if frame else ''}/rendered?{'&'.join(asked)}"
        try:
            answer = await self._archive.get(path, {"Accept": type_})
        except ArchiveAway as away:
            if away.answered:
                raise not_acceptable("The archive cannot draw it") from None
            raise
        if answer.status_code == 404:
            await self._finding.refuse_absent(at.study)
        if answer.status_code != 200:
            raise not_acceptable(
                "The instance is no picture, has no such frame, or cannot be drawn"
            )
        return Response(answer.content, 200, NO_SNIFF, media_type=type_)

    async def thumbnail(
        self,
        ctx: Context,
        at: Place,
        frame: int | None,
        query: Mapping[str, str],
        known: str = "",
    ) -> Response:
        """A small PNG; a drawn placeholder that says why, where there is no picture.

        known: the ETag that the client has.
        """
        study = await self._finding.study(ctx, at.study)
        at = middle(study, at)
        width, height = _viewport(query) or (_THUMBNAIL, _THUMBNAIL)
        width, height = min(width, _LARGEST), min(height, _LARGEST)
        id_ = await self._archive.instance_of(at.instance)
        if id_ is None:
            await self._finding.refuse_absent(at.study)
        assert id_ is not None
        if frame is None:
            frame = await self._middle_frame(id_)
        content = f"{at.instance} {frame} {width} {height} {await self._archive.md5(id_)}"
        tag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
        headers = NO_SNIFF | {"ETag": tag, "Cache-Control": "private, no-cache"}
        if tag in (each.strip().removeprefix("W/") for each in known.split(",")):
            return Response(status_code=304, headers=headers)
        path = f"/instances/{id_}/frames/{frame - 1}/rendered?width={width}&height={height}"
        if window := await missing_window(self._archive, id_, frame):
            path += f"&window-center={window.center:.10g}&window-width={window.width:.10g}"
        try:
            answer = await self._archive.get(path, {"Accept": "image/png"})
            drawn = answer.status_code == 200 and answer.content
        except ArchiveAway as away:
            if not away.answered:
                raise
            drawn = b""
        if drawn:
            return Response(answer.content, 200, headers, media_type="image/png")
        text = f"{modality(study, at) or 'Object'}: no picture"
        headers["Warning"] = '299 - "The archive has no picture of this object"'
        return Response(_placeholder(text, width, height), 200, headers, media_type="image/svg+xml")

    async def _middle_frame(self, id_: str) -> int:
        answer = await self._archive.get(f"/instances/{id_}/content/0028-0008")
        text = answer.text.strip("\0 ") if answer.status_code == 200 else ""
        count = int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 1
        return max(count, 1) // 2 + 1 if count > 1 else 1


def middle(study: Json, at: Place) -> Place:
    """The instance in the middle of what is meant. Raises `NotFound` if nothing is there."""
    if at.instance:
        return at
    series: Sequence[Json] = [
        each for each in study.get("series", ()) if not at.series or each["uid"] == at.series
    ]
    drawn = [each for each in series if each["modality"]["code"] not in _NO_PICTURE]
    for each in (*drawn, *series):
        instances = each.get("instance", ())
        if instances:
            return Place(at.study, each["uid"], instances[len(instances) // 2]["uid"])
    raise NotFound(Issue("not-found", "There is no instance that could be drawn"))


def modality(study: Json, at: Place) -> str:
    """The modality of the series of an instance, as far as the ImagingStudy tells it."""
    for each in study.get("series", ()):
        if any(found["uid"] == at.instance for found in each.get("instance", ())):
            return str(each["modality"].get("code", ""))
    return ""


def _viewport(query: Mapping[str, str]) -> tuple[int, int] | None:
    given = query.get("viewport", "")
    if unknown := query.keys() - {"viewport", "window", "accept"}:
        raise Invalid(Issue("not-supported", f"{min(unknown)[:50]!r}: expected viewport, window"))
    if not given:
        return None
    parts = given.split(",")
    if len(parts) != 2 or not all(p.isascii() and p.isdecimal() and len(p) < 6 for p in parts):
        raise Invalid(Issue("value", f"viewport={given[:50]!r}: expected width,height"))
    width, height = int(parts[0]), int(parts[1])
    if not (0 < width <= _LARGEST_VIEWPORT and 0 < height <= _LARGEST_VIEWPORT):
        raise Invalid(Issue("value", f"viewport={given[:50]!r}: 1 to {_LARGEST_VIEWPORT} each"))
    return width, height


def _placeholder(text: str, width: int, height: int) -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 256 256"><rect width="256" height="256" fill="#222"/>'
        f'<text x="128" y="132" fill="#ccc" font-family="sans-serif" font-size="20" '
        f'text-anchor="middle">{escape(text)}</text></svg>'
    ).encode()
