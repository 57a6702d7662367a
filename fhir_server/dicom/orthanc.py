"""A client of Orthanc's REST API: what it answers, checked, and one refusal when it is away.

What Orthanc says of its errors never goes on to our clients: it may name patients. URLs are made
of checked ids only (`dicom.uids`), and nothing is looked up by a value in a URL, since Debian's
Orthanc does not decode queries: values go in the body of `POST /tools/find`, which finds by
wildcards, lists and regardless of case, and everything where a value is empty. So what it found is
compared here again.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_server.dicom.breaker import ArchiveAway, Breaker
from fhir_server.dicom.settings import ArchiveSettings
from fhir_server.dicom.uids import checked_archive_id, checked_uid

Json = dict[str, Any]

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.1
_DICOM = {"Content-Type": "application/dicom"}
_WILD = frozenset("*?\\")


class ArchiveRefused(Exception):
    """Orthanc does not take what it was sent; `status` is what it answered by."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the archive answered {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Change:
    """A row of `/changes`. id: of what changed, in the archive."""

    number: int
    kind: str
    level: str
    id: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows after a number. last: the number up to which this tells; done: nothing is after it."""

    rows: Sequence[Change]
    last: int
    done: bool


@dataclass(frozen=True, slots=True)
class Study:
    """A study as the archive has it.

    id: of the archive. stable: it was quiet for a while; also true after a restart.
    updated: when something came last. tags, patient: of its first instance, by keyword.
    """

    id: str
    uid: str
    stable: bool
    updated: str
    series: Sequence[str]
    tags: Mapping[str, str]
    patient: Mapping[str, str]

    @property
    def patient_id(self) -> str:
        """The patient's id in the images."""
        return self.patient.get("PatientID", "").strip()

    @property
    def accession(self) -> str:
        """The accession number at the level of the study."""
        return self.tags.get("AccessionNumber", "").strip()


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """What became of a file. status: `Success`, `AlreadyStored` or `FilteredOut`."""

    status: str
    id: str
    series: str
    study: str
    patient: str


class Orthanc:
    """One Orthanc, asked over HTTP.

    transport: for tests of faults that a real one does not show at will.
    """

    def __init__(
        self, settings: ArchiveSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.name = settings.name
        given: dict[str, Any] = {
            "base_url": settings.url,
            "auth": httpx.BasicAuth(settings.user, settings.password) if settings.user else None,
            "timeout": httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            "follow_redirects": False,
            "trust_env": False,
        }
        self._client = httpx.AsyncClient(**given, transport=transport)
        self._blocking = httpx.Client(**given)
        self._breaker = Breaker()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        self._blocking.close()

    async def system(self) -> Json:
        """Version, DICOM title and the like."""
        found: Json = await self._json("GET", "/system")
        return found

    async def plugins(self) -> list[str]:
        """The names of its plugins."""
        return [str(each) for each in await self._json("GET", "/plugins")]

    async def last_change(self) -> int:
        """The number of the latest change, 0 if there never was one."""
        return int((await self._json("GET", "/changes?last"))["Last"])

    async def changes(self, since: int, limit: int = 1000) -> Changes:
        """What changed after a number. Rows of what was deleted are missing."""
        found = await self._json("GET", f"/changes?since={since:d}&limit={limit:d}")
        rows = [
            Change(int(row["Seq"]), row["ChangeType"], row["ResourceType"], row["ID"])
            for row in found["Changes"]
        ]
        return Changes(rows, int(found["Last"]), bool(found["Done"]))

    async def count_studies(self) -> int:
        """How many studies there are."""
        return int((await self._json("GET", "/statistics"))["CountStudies"])

    async def studies(self, page: int = 500) -> AsyncIterator[Study]:
        """All studies, page by page. What is deleted meanwhile may let one be passed over."""
        since = 0
        while True:
            found = await self._json("GET", f"/studies?expand&since={since:d}&limit={page:d}")
            for each in found:
                yield _study(each)
            if len(found) < page:
                return
            since += page

    async def study(self, id_: str) -> Study | None:
        """One study, None if it is not there."""
        found = await self._json("GET", f"/studies/{checked_archive_id(id_)}", absent=True)
        return None if found is None else _study(found)

    async def studies_of(self, uid: str) -> list[Study]:
        """The studies under one UID: more than one if several patients have it."""
        found = await self._find("Study", {"StudyInstanceUID": checked_uid(uid)})
        return [each for each in map(_study, found) if each.uid == uid]

    async def studies_by(self, accession: str) -> list[Study]:
        """The studies with exactly this accession number.

        Raises ValueError for one that could find others, such as an empty one.
        """
        found = await self._find("Study", {"AccessionNumber": accession})
        return [each for each in map(_study, found) if each.accession == accession.strip()]

    async def select(self, query: Mapping[str, str], most: int) -> list[Study]:
        """Studies that may be what a query with wildcards and ranges asks for, at most so many.

        query: by keyword. Its answer is to be compared again: it matches regardless of case.
        Raises ValueError for an empty value, which would find everything.
        """
        if not all(value.strip() for value in query.values()):
            raise ValueError("an empty value would find everything")
        body = {"Level": "Study", "Query": dict(query), "Expand": True, "Limit": most}
        return [_study(each) for each in await self._json("POST", "/tools/find", json=body)]

    async def instance_of(self, uid: str) -> str | None:
        """The archive's id of an instance, None if it is not there or there are several."""
        query = {"SOPInstanceUID": checked_uid(uid)}
        found = await self._find("Instance", query)
        ids = [
            str(each["ID"])
            for each in found
            if each["MainDicomTags"].get("SOPInstanceUID", "").strip() == uid
        ]
        return ids[0] if len(ids) == 1 else None

    async def series_tags(self, id_: str) -> Mapping[str, Json]:
        """The tags of all instances of a series, by the archive's ids; empty if it is not there.

        Tags are written `gggg,eeee`, sequences are lists; long values are null.
        """
        path = f"/series/{checked_archive_id(id_)}/instances-tags?short"
        found: Mapping[str, Json] | None = await self._json("GET", path, absent=True)
        return found or {}

    async def delete_study(self, id_: str) -> None:
        """Delete a study; no error if it is not there."""
        await self._json("DELETE", f"/studies/{checked_archive_id(id_)}", absent=True)

    async def store(
        self, content: bytes | AsyncIterator[bytes], length: int | None = None
    ) -> StoredInstance:
        """Send a DICOM file. Raises `ArchiveRefused` for what it does not take.

        length: of content that comes in pieces, if it is known. Where it is AlreadyStored, `md5`
        tells whether the same file is meant.
        """
        headers = {} if length is None else {"Content-Length": str(length)}
        response = await self._send("POST", "/instances", content=content, headers=_DICOM | headers)
        return _stored(response)

    def store_now(self, content: bytes) -> StoredInstance:
        """Like `store`, for who is in a thread: small files take half of the work this way."""
        self._breaker.check()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._blocking.post("/instances", content=content, headers=_DICOM)
            except httpx.TransportError as error:
                if attempt == _ATTEMPTS or isinstance(error, httpx.TimeoutException):
                    raise self._breaker.failed(error) from error
                time.sleep(_PAUSE_SECONDS * attempt)
            else:
                self._breaker.answered()
                _check_answer(response)
                return _stored(response)
        raise AssertionError("the last attempt answers or raises")

    async def md5(self, instance: str) -> str:
        """The MD5 of an instance's file as it was received; empty if it is not there."""
        path = f"/instances/{checked_archive_id(instance)}/attachments/dicom/md5"
        response = await self._send("GET", path)
        if response.status_code == 404:
            # An Orthanc that keeps no sums: made of the file itself.
            async with self.stream(f"/instances/{instance}/file") as file:
                if file.status_code == 404:
                    return ""
                digest = hashlib.md5(usedforsecurity=False)
                async for chunk in file.aiter_bytes():
                    digest.update(chunk)
                return digest.hexdigest()
        return str(response.text).strip()

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """An answer that is read piece by piece; 404 and what is like it is for the caller.

        path: made by the caller of checked ids only.
        """
        self._breaker.check()
        async with AsyncExitStack() as stack:
            response = await self._opened(stack, path, dict(headers or {}))
            _check_answer(response)
            try:
                yield response
            except httpx.TransportError as error:
                raise self._breaker.failed(error) from error

    async def _opened(
        self, stack: AsyncExitStack, path: str, headers: dict[str, str]
    ) -> httpx.Response:
        """The beginning of an answer, asked for again where nothing of it came."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                asked = self._client.stream("GET", path, headers=headers)
                response = await stack.enter_async_context(asked)
            except httpx.TransportError as error:
                if attempt == _ATTEMPTS or isinstance(error, httpx.TimeoutException):
                    raise self._breaker.failed(error) from error
                await asyncio.sleep(_PAUSE_SECONDS * attempt)
            else:
                self._breaker.answered()
                return response
        raise AssertionError("the last attempt answers or raises")

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """A whole answer, whatever its status below 500.

        path: made by the caller of checked ids only.
        """
        return await self._send("GET", path, headers=dict(headers or {}))

    async def _find(self, level: str, query: Mapping[str, str]) -> list[Json]:
        for name, value in query.items():
            if not value.strip() or _WILD & set(value):
                raise ValueError(f"{name}={value!r}: would find more than that")
        body = {"Level": level, "Query": dict(query), "Expand": True, "CaseSensitive": True}
        found: list[Json] = await self._json("POST", "/tools/find", json=body)
        return found

    async def _json(self, method: str, path: str, *, absent: bool = False, json: Any = None) -> Any:
        response = await self._send(method, path, json=json)
        if absent and response.status_code == 404:
            return None
        if response.status_code >= 400:
            raise ArchiveAway(f"it answers {response.status_code} to {method} {_shown(path)}")
        try:
            return response.json()
        except ValueError:
            raise ArchiveAway(f"it answers no JSON to {method} {_shown(path)}") from None

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """An answer below 500; asked again after a fault of the network where that is harmless."""
        self._breaker.check()
        once = content is not None and not isinstance(content, bytes)
        for attempt in range(1, 2 if once else _ATTEMPTS + 1):
            try:
                response = await self._client.request(
                    method, path, json=json, content=content, headers=headers
                )
            except httpx.TransportError as error:
                if once or attempt == _ATTEMPTS or isinstance(error, httpx.TimeoutException):
                    raise self._breaker.failed(error) from error
                await asyncio.sleep(_PAUSE_SECONDS * attempt)
            else:
                self._breaker.answered()
                _check_answer(response)
                return response
        raise AssertionError("the last attempt answers or raises")


def _stored(response: httpx.Response) -> StoredInstance:
    if response.status_code >= 400:
        raise ArchiveRefused(response.status_code)
    found = response.json()
    ids = (found["ID"], found["ParentSeries"], found["ParentStudy"], found["ParentPatient"])
    return StoredInstance(str(found["Status"]), *map(str, ids))


def _check_answer(response: httpx.Response) -> None:
    status = response.status_code
    if status in (401, 403):
        raise ArchiveAway(f"it refuses the server's credentials or the request ({status})")
    if status >= 500 or status in (301, 302, 303, 307, 308):
        raise ArchiveAway(f"it answers {status}", status)


def _shown(path: str) -> str:
    """A path without what it asks for."""
    return path.partition("?")[0]


def _study(found: Json) -> Study:
    tags = _texts(found["MainDicomTags"].items())
    return Study(
        found["ID"],
        tags.get("StudyInstanceUID", "").strip(),
        bool(found["IsStable"]),
        str(found["LastUpdate"]),
        sorted(found["Series"]),
        tags,
        _texts(found.get("PatientMainDicomTags", {}).items()),
    )


def _texts(items: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {name: value for name, value in items if isinstance(value, str)}
