"""`fhir-server tenant` on a database of its own, and beside a server that runs."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.conftest import FHIR_JSON, RunningServer, running_server


def tenant(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """One run of the command."""
    return subprocess.run(
        [sys.executable, "-m", "fhir_server.cli", "tenant", *arguments],
        capture_output=True, text=True, input=typed, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, str]]:
    """A server with a PostgreSQL of its own, and the option that names its data."""
    folder = tmp_path_factory.mktemp("served")
    folder.chmod(0o755)
    data = folder / "d"
    with running_server(folder, "--data-dir", str(data), "--workers", "2") as server:
        yield server, f"--data-dir={data}"


def fhir(server: RunningServer, name: str) -> httpx.Client:
    """A client of a tenant."""
    return httpx.Client(base_url=f"{server.root}/t/{name}/fhir", headers=FHIR_JSON, timeout=60)


def until_served(client: httpx.Client, status: int) -> None:
    """Return when all workers answer with a status."""
    in_a_row = 0
    for _ in range(600):
        # Each on a connection of its own, which is any worker's.
        answer = client.get("Patient?_summary=count", headers={"Connection": "close"})
        in_a_row = in_a_row + 1 if answer.status_code == status else 0
        if in_a_row == 20:
            return
    raise AssertionError(answer.text)


def test_a_territory_is_added_exported_and_dropped_while_the_server_runs(
    served: tuple[RunningServer, str], tmp_path: Path
) -> None:
    server, data = served
    with fhir(server, "north") as client:
        assert client.get("Patient/1").status_code == 403
        added = tenant("add", "north", data)
        assert (added.returncode, added.stderr) == (0, "")
        until_served(client, 200)
        # What every tenant gets comes by itself.
        assert client.get("metadata").status_code == 200
        for version in ("first", "second"):
            patient = {"resourceType": "Patient", "id": "a", "name": [{"family": version}]}
            client.put("Patient/a", json=patient).raise_for_status()
        client.put("Basic/b", json={"resourceType": "Basic", "id": "b", "code": {"text": "x"}})
        client.delete("Basic/b")

        listed = tenant("list", data).stdout.splitlines()
        assert [line.split("\t")[:2] for line in listed] == [
            ["default", "ready"], ["north", "ready"]
        ]  # fmt: skip

        assert tenant("export", "north", str(tmp_path / "out"), "--history", data).returncode == 0
        out = tmp_path / "out"
        patients = [json.loads(line) for line in (out / "Patient.ndjson").read_text().splitlines()]
        assert [each["name"][0]["family"] for each in patients] == ["second"]
        assert patients[0]["meta"]["versionId"] == "2"
        former = json.loads((out / "history" / "Patient.ndjson").read_text())
        assert former["name"][0]["family"] == "first"
        deleted = json.loads((out / "history" / "deleted.ndjson").read_text())
        assert (deleted["type"], deleted["id"], deleted["version"]) == ("Basic", "b", 2)
        assert not (out / "Basic.ndjson").exists()
        manifest = json.loads((out / "export.json").read_text())
        assert manifest["resources"]["Patient"] == 1

        packed = tmp_path / "out.tar.gz"
        assert tenant("export", "north", str(packed), data).returncode == 0
        with tarfile.open(packed) as archive:
            names = set(archive.getnames())
        assert {"north/Patient.ndjson", "north/export.json"} <= names
        assert not any("history" in name for name in names)
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []

        assert tenant("drop", "north", data).returncode == 1
        assert tenant("drop", "north", "--yes", "--confirm", "nord", data).returncode == 1
        assert tenant("drop", "north", "--yes", data, typed="default\n").returncode == 1
        until_served(client, 200)
        dropped = tenant("drop", "north", "--yes", data, typed="north\n")
        assert (dropped.returncode, dropped.stderr) == (0, "")
        until_served(client, 403)
        assert [line.split("\t")[0] for line in tenant("list", data).stdout.splitlines()] == [
            "default"
        ]
        # Of the same name, and with nothing of what was there.
        assert tenant("add", "north", data).returncode == 0
        until_served(client, 200)
        assert client.get("Patient/a").status_code == 404


def test_what_cannot_be_done_is_told(served: tuple[RunningServer, str], tmp_path: Path) -> None:
    _, data = served
    for arguments, told in (
        (("add", "default"), "there is a territory default"),
        (("add", "North"), "expected 1 to 40 lower-case letters"),
        (("export", "nobody", str(tmp_path / "x")), "not served"),
        (("export", "default", str(tmp_path)), "is there already"),
        (("drop", "default", "--yes"), "the first territory stays"),
        (("drop", "nobody", "--yes"), "there is no territory nobody"),
    ):
        found = tenant(*arguments, data)
        assert found.returncode == 1
        assert told in found.stderr
        assert "Traceback" not in found.stderr


def test_without_a_server_the_database_is_brought_up_to_date(empty_database: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "fhir_server.cli", "tenant", "add", "north"],
        capture_output=True, text=True, timeout=120, check=False,
        env={"FHIR_SERVER_DATABASE_URL": empty_database, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute("select name, state from fhir_server.tenant order by name")
        assert rows.fetchall() == [("default", "ready"), ("north", "ready")]
