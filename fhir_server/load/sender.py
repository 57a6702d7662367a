"""Sends one request until it is answered, and never stores a thing twice to get there."""

import asyncio
import random
from urllib.parse import urlencode

import httpx
import msgspec

from fhir_server.load import results
from fhir_server.load.parts import Part, identifiers

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NOT_NOW = (429, 503)
_CONFLICT = 409
_GATEWAY_TIMEOUT = 504
_LOST = (502, _GATEWAY_TIMEOUT)
_CONFLICT_ATTEMPTS = 4
_LONGEST_WAIT = 2.0
_LONGEST_RETRY_AFTER = 30.0
_ATTEMPTS = 40  # a server that is gone is waited for a minute
_UNCERTAIN = (
    "the connection broke after it was sent; whether the server stored it could not be found out"
)

HEADERS = {
    "Accept": "application/fhir+json",
    "Content-Type": "application/fhir+json",
    "Prefer": "return=minimal",
    "User-Agent": "fhir-server-load",
}


class Unreachable(Exception):
    """The server did not take the request, however often it was tried."""


class Uncertain(Exception):
    """The request was sent, its answer never came, and it is unknown whether it was stored."""


class Denied(Exception):
    """The server knows us not (401) or not enough (403): no other request would fare better."""


class Sender:
    """One server as seen by the loader; `since` is its clock as last heard."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        base_url: str,
        attempts: int = _ATTEMPTS,
        first_wait: float = 0.2,
        settle: float = 1.0,
    ):
        """Wait `settle` seconds for a broken-off transaction to end before looking for it."""
        self._client = client
        self._base_url = base_url
        self._attempts = attempts
        self._first_wait = first_wait
        self._settle = settle
        self.since = ""

    async def greet(self) -> str:
        """Name of the software that answers. Raises Unreachable, Denied."""
        try:
            response = await self._client.get(f"{self._base_url}/metadata")
        except httpx.TransportError as error:
            raise Unreachable(f"no server answers: {_told(error)}") from error
        self._heard(response)
        try:
            statement = response.json()
            if statement["resourceType"] != "CapabilityStatement":
                raise KeyError("resourceType")
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(
                f"GET /metadata gave {response.status_code}, not a CapabilityStatement"
            ) from error
        return str(statement.get("software", {}).get("name", "a FHIR server"))

    async def send(self, part: Part) -> results.Answer:
        """The answer to the part. Raises Unreachable, Uncertain, Denied."""
        body = part.body
        since = self.since
        conflicts = 0
        reason = ""
        for attempt in range(self._attempts):
            try:
                response = await self._client.request(
                    part.method, self._base_url + part.path, content=body
                )
            except _NOT_SENT as error:
                reason = _told(error)
            except httpx.TransportError as error:
                reason = _told(error)
                if not part.repeatable:
                    still_running = isinstance(error, httpx.ReadTimeout)
                    if stored := await self._look_for(part, since, still_running):
                        return stored
            else:
                self._heard(response)
                conflicts += response.status_code == _CONFLICT
                if not _try_again(response, conflicts):
                    return _read(part, response)
                reason = f"the server answers {response.status_code}"
                if response.status_code in _LOST and not part.repeatable:
                    still_running = response.status_code == _GATEWAY_TIMEOUT
                    if stored := await self._look_for(part, since, still_running):
                        return stored
                await asyncio.sleep(_asked_to_wait(response))
            await asyncio.sleep(self._wait(attempt))
        raise Unreachable(f"given up after {self._attempts} attempts: {reason}")

    async def _look_for(self, part: Part, since: str, still_running: bool) -> results.Answer | None:
        await asyncio.sleep(self._settle)
        try:
            found = await self.find(part, since)
        except Unreachable as error:
            raise Uncertain(_UNCERTAIN) from error
        if found is None and still_running:
            raise Uncertain(_UNCERTAIN)
        return found

    async def find(self, part: Part, since: str) -> results.Answer | None:
        """The lost answer of what was sent after `since`; None when it was certainly not stored.

        A transaction is stored whole or not at all, so one of its identifiers decides.
        Raises Uncertain when the part has none, Unreachable.
        """
        evidence = next(identifiers(part), None) if part.atomic else None
        if evidence is None:
            raise Uncertain(_UNCERTAIN)
        type_, identifier = evidence
        query = urlencode({"identifier": identifier, "_lastUpdated": f"ge{since}", "_count": 1})
        response = await self._get(f"/{type_}?{query}")
        if not response.is_success:
            raise Uncertain(_UNCERTAIN)
        for entry in msgspec.json.decode(response.content, type=_Found).entry:
            if entry.search.mode == "match":
                version = f"{type_}/{entry.resource.id}/_history/{entry.resource.meta.version}"
                return results.everything_stored(part, version)
        return None

    async def has_version(self, location: str) -> bool:
        """Whether the server still holds a version it once made. Raises Unreachable."""
        response = await self._get("/" + "/".join(location.split("/")[-4:]))
        if response.status_code != 404 and not response.is_success:
            raise Unreachable(f"asked for {location}, the server answers {response.status_code}")
        return response.is_success

    async def _get(self, path: str) -> httpx.Response:
        reason = ""
        for attempt in range(self._attempts):
            try:
                response = await self._client.get(self._base_url + path)
            except httpx.TransportError as error:
                reason = _told(error)
            else:
                self._heard(response)
                if response.status_code not in _NOT_NOW:
                    return response
                reason = f"the server answers {response.status_code}"
            await asyncio.sleep(self._wait(attempt))
        raise Unreachable(f"given up after {self._attempts} attempts: {reason}")

    def _heard(self, response: httpx.Response) -> None:
        if response.status_code in (401, 403):
            raise Denied(f"the server answers {response.status_code}: is --token right?")
        self.since = results.server_time(response)

    def _wait(self, attempt: int) -> float:
        longest: float = min(self._first_wait * 2.0**attempt, _LONGEST_WAIT)
        return longest * random.uniform(0.5, 1.0)


class _SearchMode(msgspec.Struct):
    mode: str = "match"


class _Meta(msgspec.Struct):
    version: str = msgspec.field(default="", name="versionId")


class _FoundResource(msgspec.Struct):
    id: str = ""
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _FoundEntry(msgspec.Struct):
    search: _SearchMode = msgspec.field(default_factory=_SearchMode)
    resource: _FoundResource = msgspec.field(default_factory=_FoundResource)


class _Found(msgspec.Struct):
    entry: list[_FoundEntry] = []


def _read(part: Part, response: httpx.Response) -> results.Answer:
    try:
        return results.read(part, response)
    except results.Unintelligible as error:
        if part.repeatable:
            return results.everything_failed(part, str(error))
        raise Uncertain(str(error)) from error


def _try_again(response: httpx.Response, conflicts: int) -> bool:
    if response.status_code == _CONFLICT:
        return conflicts < _CONFLICT_ATTEMPTS
    return response.status_code in _NOT_NOW + _LOST


def _asked_to_wait(response: httpx.Response) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_RETRY_AFTER) if asked.isdecimal() else 0.0


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
