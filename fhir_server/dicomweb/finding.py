"""QIDO-RS: studies, series and instances that may be seen (PS3.18 10.6)."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fhir_server.context import Context
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.dicomweb.asking import Query
from fhir_server.dicomweb.places import Place, told
from fhir_server.dicomweb.rules import check_seen, seen
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Conflict, Invalid, Issue, NotFound

Json = dict[str, Any]

MOST_CANDIDATES = 5_000
_AT_ONCE = 4
# Viewers ask for many frames in a row.
_KNOWN_SECONDS = 1.0
_MOST_KNOWN = 1_000
_NAMES = frozenset({"PatientName", "ReferringPhysicianName"})
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def _loose(values: Mapping[str, str]) -> Mapping[str, str]:
    """What the archive is asked for: more than is meant, since all is compared again.

    Whether it finds letters beyond ASCII regardless of case depends on its version and locale.
    """
    return {
        keyword: _BEYOND_ASCII.sub("*", value) if keyword in _NAMES else value
        for keyword, value in values.items()
    }


class Finding:
    """Answers queries."""

    def __init__(self, engine: Engine, archive: Orthanc) -> None:
        self._engine = engine
        self._archive = archive
        # Studies that are one patient's, and until when that need not be asked again.
        self._single: dict[str, float] = {}

    async def studies(self, ctx: Context, query: Query, base: str) -> list[Json]:
        """Rows of one page, the newest study first."""
        if uid := query.values.get("StudyInstanceUID"):
            uids = [each for each in uid.split("\\") if each]
        else:
            uids = await self._candidates(query)
        visible = await seen(self._engine, ctx, uids)
        wanted = [uid for uid in dict.fromkeys(uids) if uid in visible]
        if not query.values:
            # Nothing is compared again, so that only rows of the page are asked for.
            wanted = wanted[query.offset : query.offset + query.limit]
            return [told(each, base) for each in await self._rows(wanted, query)]
        return [told(each, base) for each in query.page(await self._rows(wanted, query))]

    async def series(self, ctx: Context, at: Place, query: Query, base: str) -> list[Json]:
        """The series of a study."""
        await self.study(ctx, at.study)
        rows = await self._json(f"{at.in_archive}/series?{query.in_archive}", at.study)
        return [told(each, base) for each in query.page(rows)]

    async def instances(self, ctx: Context, at: Place, query: Query, base: str) -> list[Json]:
        """The instances of a study or of a series."""
        await self.study(ctx, at.study)
        rows = await self._json(f"{at.in_archive}/instances?{query.in_archive}", at.study)
        return [told(each, base) for each in query.page(rows)]

    async def study(self, ctx: Context, uid: str) -> Json:
        """The ImagingStudy of a study that may be seen.

        Raises `NotFound`, and `Conflict` for one that is several patients' in the archive.
        """
        found = await check_seen(self._engine, ctx, uid)
        now = time.monotonic()
        if self._single.get(uid, 0.0) < now:
            await self._check_single(uid)
            if len(self._single) >= _MOST_KNOWN:
                self._single.clear()
            self._single[uid] = now + _KNOWN_SECONDS
        return found

    async def _check_single(self, uid: str) -> None:
        if len(await self._archive.studies_of(uid)) != 1:
            await self.refuse_absent(uid)

    async def _candidates(self, query: Query) -> list[str]:
        try:
            found = await self._archive.select(_loose(query.values), MOST_CANDIDATES)
        except ValueError as error:
            raise Invalid(Issue("value", str(error))) from None
        if len(found) == MOST_CANDIDATES:
            text = f"The query finds {MOST_CANDIDATES} studies or more; ask for less, as by date"
            raise Invalid(Issue("too-costly", text), status=413)
        found.sort(key=lambda each: each.tags.get("StudyDate", ""), reverse=True)
        return [each.uid for each in found]

    async def _rows(self, uids: Sequence[str], query: Query) -> list[Json]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def row(uid: str) -> list[Json]:
            async with turns:
                # Digits and dots alone: the archive does not decode queries.
                path = f"/dicom-web/studies?StudyInstanceUID={uid}&{query.in_archive}"
                answer = await self._archive.get(path)
            found: list[Json] = msgspec.json.decode(answer.content)
            return found

        rows = await asyncio.gather(*map(row, uids))
        # Two patients under one study UID: neither is told.
        return [each[0] for each in rows if len(each) == 1]

    async def _json(self, path: str, study: str) -> list[Json]:
        answer = await self._archive.get(path)
        if answer.status_code != 200:
            await self.refuse_absent(study)
        found: list[Json] = msgspec.json.decode(answer.content)
        return found

    async def refuse_absent(self, study: str) -> None:
        """Raises `Conflict` where several patients have a study UID, `NotFound` otherwise."""
        found = await self._archive.studies_of(study)
        if len(found) > 1:
            text = f"Study {study} is in the archive for {len(found)} patients; it is not shown"
            raise Conflict(Issue("conflict", text))
        raise NotFound(Issue("not-found", "The archive has nothing there"))
