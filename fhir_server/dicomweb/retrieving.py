"""WADO-RS: metadata, frames, bulk data and whole files, streamed (PS3.18 10.4)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from fastapi import Response
from fastapi.responses import StreamingResponse

from fhir_server.context import Context
from fhir_server.dicom.breaker import ArchiveAway
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.dicomweb.accepting import Accepted, not_acceptable
from fhir_server.dicomweb.finding import Finding
from fhir_server.dicomweb.places import Place, told
from fhir_server.dicomweb.relaying import Relay
from fhir_server.http.doors import NO_SNIFF
from fhir_server.outcome import Invalid, Issue, Refusal

Json = dict[str, Any]

JSON = "application/dicom+json"
_SERIES = "0020000E"
_MOST_FRAMES = 1_000


class Retrieving:
    """Answers what images are asked for."""

    def __init__(self, archive: Orthanc, finding: Finding) -> None:
        self._archive = archive
        self._finding = finding

    async def metadata(self, ctx: Context, at: Place, base: str) -> Response:
        """All that the tags of the instances say, series by series, so that memory stays flat."""
        await self._finding.study(ctx, at.study)
        if at.series:
            places = [at]
        else:
            answer = await self._archive.get(f"{at.in_archive}/series")
            rows = msgspec.json.decode(answer.content) if answer.status_code == 200 else []
            places = [Place(at.study, row[_SERIES]["Value"][0]) for row in rows]
        first = await self._metadata(places[0], base) if places else []
        if not first:
            await self._finding.refuse_absent(at.study)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"[" + msgspec.json.encode(first)[1:-1]
            for each in places[1:]:
                more = await self._metadata(each, base)
                if more:
                    yield b"," + msgspec.json.encode(more)[1:-1]
            yield b"]"

        return StreamingResponse(pieces(), media_type=JSON, headers=NO_SNIFF)

    async def _metadata(self, at: Place, base: str) -> list[Json]:
        answer = await self._archive.get(f"{at.in_archive}/metadata")
        if answer.status_code != 200:
            return []

        def read() -> list[Json]:
            return [told(row, base) for row in msgspec.json.decode(answer.content)]

        return await asyncio.to_thread(read)

    async def files(self, ctx: Context, at: Place, accept: Accepted) -> Response:
        """Whole files."""
        if accept.alone and not at.instance:
            raise not_acceptable("Several files are given as multipart/related only")
        await self._finding.study(ctx, at.study)
        return await self._relayed(at, at.in_archive, accept)

    async def frames(
        self, ctx: Context, at: Place, numbers: Sequence[int], accept: Accepted
    ) -> Response:
        """Frames of an instance, counted from 1."""
        if accept.alone and len(numbers) > 1:
            raise not_acceptable("Several frames are given as multipart/related only")
        await self._finding.study(ctx, at.study)
        listed = ",".join(map(str, numbers))
        return await self._relayed(at, f"{at.in_archive}/frames/{listed}", accept)

    async def bulk(self, ctx: Context, at: Place, path: str, *, alone: bool) -> Response:
        """A value that metadata refer to."""
        await self._finding.study(ctx, at.study)
        accept = Accepted('multipart/related; type="application/octet-stream"', alone)
        return await self._relayed(at, f"{at.in_archive}/bulk/{path}", accept)

    async def _relayed(self, at: Place, path: str, accept: Accepted) -> Response:
        stack = AsyncExitStack()
        try:
            headers = {"Accept": accept.header}
            answer = await stack.enter_async_context(self._archive.stream(path, headers))
            if answer.status_code != 200:
                await self._refuse(at, answer.status_code)
            relay = Relay(answer, alone=accept.alone)
            await relay.begin()
        except ArchiveAway as away:
            await stack.aclose()
            if away.answered >= 500:
                text = "The archive cannot give it in this form; try transfer-syntax=*"
                raise not_acceptable(text) from None
            raise
        except BaseException:
            await stack.aclose()
            raise

        async def pieces() -> AsyncIterator[bytes]:
            async with stack:
                async for piece in relay.pieces():
                    yield piece

        return StreamingResponse(pieces(), headers=NO_SNIFF | relay.headers)

    async def _refuse(self, at: Place, status: int) -> None:
        if status == 404:
            await self._finding.refuse_absent(at.study)
        if status in (406, 415):
            raise not_acceptable("The archive cannot give it in this form")
        text = "The instance has no such frame or value"
        raise Refusal(Issue("not-found", text), status=404)


def frame_numbers(text: str) -> list[int]:
    """The frames that a URL names. Raises `Invalid`."""
    parts = text.split(",")
    if len(parts) > _MOST_FRAMES or not all(
        part.isascii() and part.isdecimal() and 1 <= len(part) <= 7 and int(part) for part in parts
    ):
        raise Invalid(Issue("value", f"{text[:50]!r}: expected numbers of frames, from 1"))
    return [int(part) for part in parts]
