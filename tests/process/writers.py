"""Clients that write without end, and the account of what they were promised."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.conftest import FHIR_JSON

_SYSTEM = "urn:test:write"
_LINKED = 4


class Writers:
    """Six clients, half of them creating single resources, half transactions of five."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.acknowledged: dict[str, int] = {}
        self.attempted = 0
        self.refused: Counter[int] = Counter()
        self.broken = 0
        self._news = asyncio.Condition()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Write while the block runs; each client waits for its last answer.

        Else the server would still be at work while the account is checked.
        """
        over = asyncio.Event()
        clients = [self._write(over, single=number % 2 == 0) for number in range(6)]
        tasks = asyncio.gather(*clients)
        try:
            yield
        finally:
            over.set()
            await tasks

    async def wait_for(self, more: int, within: float = 60.0) -> None:
        """Return once as many more writes are acknowledged."""
        wanted = len(self.acknowledged) + more
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def _write(self, over: asyncio.Event, *, single: bool) -> None:
        async with httpx.AsyncClient(headers=FHIR_JSON, timeout=60) as client:
            while not over.is_set():
                self.attempted += 1
                mark = f"{'single' if single else 'transaction'}-{uuid.uuid4()}"
                body = _patient(mark) if single else _transaction(mark)
                url = f"{self._base_url}/Patient" if single else self._base_url
                try:
                    answer = await client.post(url, json=body)
                except httpx.TransportError:
                    self.broken += 1
                    await asyncio.sleep(0.05)
                    continue
                if answer.is_success:
                    async with self._news:
                        self.acknowledged[mark] = 1 if single else 1 + _LINKED
                        self._news.notify_all()
                else:
                    self.refused[answer.status_code] += 1
                    await asyncio.sleep(0.05)

    async def check(self, base_url: str) -> None:
        """Fail if an acknowledged write is missing or a transaction is there by halves."""
        patients = await _all(base_url, "Patient")
        observations = await _all(base_url, "Observation")
        stored = Counter(map(_mark, patients + observations))
        missing = {
            mark: stored[mark] for mark, count in self.acknowledged.items() if stored[mark] != count
        }
        assert not missing, "acknowledged but not stored"
        halves = {
            mark: count
            for mark, count in stored.items()
            if count != (1 if mark.startswith("single") else 1 + _LINKED)
        }
        assert not halves, "stored by halves or twice"
        marks = {f"Patient/{patient['id']}": _mark(patient) for patient in patients}
        astray = [
            found for found in observations if marks[found["subject"]["reference"]] != _mark(found)
        ]
        assert not astray, "linked to another transaction's patient"


def _patient(mark: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": _SYSTEM, "value": mark}]}


def _transaction(mark: str) -> dict[str, Any]:
    patient = f"urn:uuid:{uuid.uuid4()}"
    observation = {
        "resourceType": "Observation",
        "identifier": [{"system": _SYSTEM, "value": mark}],
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": patient},
    }
    entries: list[dict[str, Any]] = [{"fullUrl": patient, "resource": _patient(mark)}]
    entries += [{"resource": observation} for _ in range(_LINKED)]
    for entry in entries:
        entry["request"] = {"method": "POST", "url": entry["resource"]["resourceType"]}
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _mark(resource: dict[str, Any]) -> str:
    return str(resource["identifier"][0]["value"])


async def _all(base_url: str, type_: str) -> list[dict[str, Any]]:
    found = []
    url: str | None = f"{base_url}/{type_}?_count=1000"
    async with httpx.AsyncClient(timeout=30) as client:
        while url:
            page = (await client.get(url)).raise_for_status().json()
            found += [entry["resource"] for entry in page.get("entry", ())]
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    return found
