"""The guide to orders: its commands work, and its pictures are those of the tables."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_server.workflow.picture import told
from tests.conftest import RunningServer, running_server
from tests.search.work_lists import WORK_LISTS

PAGE = (Path(__file__).parents[2] / "docs" / "orders.md").read_text()


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), "--database-url", database) as running:
        yield running


@pytest.fixture(scope="module")
def base_url(server: RunningServer) -> str:
    """The server after all commands of the guide."""
    script = "set -e -o pipefail\n" + "".join(re.findall(r"```bash\n(.*?)```", PAGE, re.S))
    script = script.replace("http://localhost:8080/fhir", server.base_url)
    assert server.base_url in script
    script = script.replace("curl -sSf", "curl -sS --fail-with-body")
    run = subprocess.run(
        ["bash", "-x", "-c", script], capture_output=True, text=True, env=dict(os.environ)
    )
    assert run.returncode == 0, f"{run.stdout[-2000:]}\n{run.stderr[-3000:]}"
    return server.base_url


@pytest.mark.parametrize(
    ("id_", "state"), [("head", "reported"), ("blood", "reported"), ("scope", "cancelled")]
)
def test_the_commands_lead_each_order_to_its_end(base_url: str, id_: str, state: str) -> None:
    task = httpx.get(f"{base_url}/Task/{id_}").json()
    assert task["businessStatus"]["coding"][0]["code"] == state


def test_the_critical_result_is_acknowledged(base_url: str) -> None:
    flags = httpx.get(f"{base_url}/Flag?patient=ann").json()["entry"]
    assert [each["resource"]["status"] for each in flags] == ["inactive"]


def test_the_python_of_the_guide_runs(base_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    order = httpx.get(f"{base_url}/ServiceRequest/head").json()
    again = {key: order[key] for key in order if key not in ("id", "meta", "identifier")}
    again |= {"status": "active"}
    placed = httpx.post(f"{base_url}/ServiceRequest", json=again).raise_for_status().json()
    target = f"{base_url}/ServiceRequest/{placed['id']}"
    time = {"name": "time", "valueDateTime": "2026-11-23T09:00:00Z"}
    body = {"resourceType": "Parameters", "parameter": [time]}
    httpx.post(f"{target}/$schedule", json=body).raise_for_status()
    httpx.post(f"{target}/$start").raise_for_status()
    httpx.post(f"{target}/$complete").raise_for_status()
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "docs/orders.md", "exec"), {"BASE": base_url})
    assert capsys.readouterr().out == "urgent CT of the head\n"


def test_the_pictures_and_the_permissions_are_those_of_the_tables() -> None:
    assert told() in PAGE


def test_the_work_lists_are_those_whose_plans_are_known() -> None:
    for search in WORK_LISTS.values():
        known = search.partition("&_include")[0].replace(
            "Practitioner/tech&", "Practitioner/technician&"
        )
        assert known in PAGE, known
