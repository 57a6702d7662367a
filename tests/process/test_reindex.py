"""A server that is killed or stopped while it reads resources again goes on where it was."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from tests.conftest import FHIR_JSON, RunningServer, running_server
from tests.indexing.workers import ids, index_status, parameter, searchable

PATIENTS = 4000
AT_ONCE = 200


async def fill(client: httpx.AsyncClient) -> None:
    for start in range(0, PATIENTS, AT_ONCE):
        entries = [
            {"resource": patient(number), "request": {"method": "PUT", "url": f"Patient/p{number}"}}
            for number in range(start, start + AT_ONCE)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = await client.post("", json=bundle)
        assert answer.status_code == 200, answer.text


def patient(number: int) -> dict[str, Any]:
    language = f"x-{number % 100}"
    return {"resourceType": "Patient", "id": f"p{number}", "language": language}


def kill(server: RunningServer) -> None:
    for process in (*psutil.Process(server.process.pid).children(), server.process):
        os.kill(process.pid, signal.SIGKILL)
    server.process.wait(10)


def stop(server: RunningServer) -> None:
    server.process.terminate()
    server.process.wait(30)


@pytest.mark.parametrize("end", [kill, stop])
async def test_reading_again_goes_on_where_the_server_ended(directory: Path, end: Any) -> None:
    with running_server(directory) as server:
        base_url = f"{server.base_url}/"
        async with httpx.AsyncClient(base_url=base_url, headers=FHIR_JSON, timeout=60) as client:
            await fill(client)
            definition = parameter("spoken", "Patient.language")
            assert (await client.post("SearchParameter", json=definition)).status_code == 201
            done = 0
            while done == 0:
                status = await index_status(client)
                assert not status["complete"], "too fast to be interrupted"
                done = _done(status)
            end(server)
    assert done < PATIENTS
    with running_server(directory) as server:
        base_url = f"{server.base_url}/"
        async with httpx.AsyncClient(base_url=base_url, headers=FHIR_JSON, timeout=60) as client:
            answer = await client.get("Patient?spoken=x-7")
            # Nothing is answered before all is read again, which may just have been done.
            over = (await index_status(client))["complete"]
            assert answer.status_code == 503 or (answer.status_code == 200 and over), answer.text
            async with asyncio.timeout(40):
                while not (status := await index_status(client))["complete"]:
                    assert _done(status) >= done, "it began from the beginning"
                    await asyncio.sleep(0.01)
            await searchable(client, "Patient?spoken=x-7")
            for remainder in (0, 7, 99):
                found = await ids(client, f"Patient?spoken=x-{remainder}&_count=1000")
                assert found == {f"p{number}" for number in range(remainder, PATIENTS, 100)}


def _done(status: dict[str, Any]) -> int:
    """How many resources the progress, such as `400 of 4000 …`, speaks of."""
    first = str(status.get("progress", "")).split(" ")[0]
    return int(first) if first.isdigit() else 0
