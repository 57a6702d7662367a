"""A TestScript carried out by the workers of a running server."""

from pathlib import Path

import httpx

from tests.conftest import running_server
from tests.operations.scripts import claim, operation, results, script_of


def test_workers_carry_out_scripts_against_their_own_server(directory: Path) -> None:
    script = script_of(
        operation("capabilities"),
        claim(response="okay"),
        operation("read", resource="TestScript", params="/a"),
        claim(response="okay"),
        id="a",
    )
    with (
        running_server(directory) as server,
        httpx.Client(base_url=f"{server.base_url}/", timeout=30) as client,
    ):
        assert client.put("TestScript/a", json=script).status_code == 201
        for _ in range(4):
            answer = client.post("TestScript/a/$run")
            assert answer.status_code == 200, answer.text
            assert results(answer.json()) == ["pass"] * 4
            place = answer.headers["Content-Location"]
            assert client.get(place).json() == answer.json()
