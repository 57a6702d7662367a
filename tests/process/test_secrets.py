"""No secret of the settings, no value of a patient is where others read: logs, answers, ps."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import RunningServer, free_port, running_server

SECRETS = {
    "FHIR_SERVER_ORTHANC_PASSWORD": "S3ntinel-of-the-archive",
    "FHIR_SERVER_ORTHANC_HINT_SECRET": "S3ntinel-of-the-hints",
}
PATIENT = "Sentinelsson"
NUMBER = "4711-sentinel"


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a secret of each kind, one of them from a file."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "database").write_text(database + "\n")
    named = {"FHIR_SERVER_DATABASE_URL_FILE": str(folder / "database")}
    options = ["--log-level", "DEBUG", "--access-log", "--orthanc-url"]
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (SECRETS | named).items():
            environment.setenv(name, value)
        with running_server(folder, *options, f"http://127.0.0.1:{free_port()}") as found:
            yield found


def answers(server: RunningServer) -> Iterator[httpx.Response]:
    """What it answers at its doors, errors of all kinds among it, none of which asks for them."""
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "name": [{"family": PATIENT}],
        "identifier": [{"system": "urn:mrn", "value": NUMBER}],
    }
    wrong: dict[str, Any] = patient | {"birthDate": "never", "gender": "x"}
    with httpx.Client(base_url=server.root, timeout=60, trust_env=False) as client:
        for method, path, body in (
            ("PUT", "/fhir/Patient/p", patient),
            ("PUT", "/fhir/Patient/p", wrong),
            ("POST", "/fhir/Patient", wrong),
            ("POST", "/fhir", wrong),
            ("POST", "/fhir", {"resourceType": "Bundle", "type": "batch", "entry": [
                {"resource": wrong, "request": {"method": "POST", "url": "Patient"}}]}),
            ("GET", f"/fhir/Patient?name={PATIENT}&no-such=1", None),
            ("GET", f"/fhir/Patient?identifier={NUMBER}&_sort=no-such", None),
            ("POST", "/fhir/Patient/$validate", wrong),
            ("PATCH", "/fhir/Patient/p", [{"op": "test", "path": "/name", "value": PATIENT}]),
            ("POST", "/fhir/$process-message", wrong),
            ("POST", f"/dicom/uploads?source={PATIENT}", wrong),
            ("GET", f"/dicom-web/studies?PatientName={PATIENT}", None),
            ("GET", f"/dicom-web/studies?PatientID={NUMBER}&limit=x", None),
            ("POST", "/orthanc/hint", {"change": "x", "study": NUMBER}),
            ("GET", f"/{PATIENT}", None),
            ("GET", "/", None),
            ("GET", "/metrics", None),
            ("GET", "/health/live", None),
            ("GET", "/health/ready", None),
            ("GET", "/openapi.json", None),
            ("GET", "/fhir/metadata", None),
        ):  # fmt: skip
            kind = "json-patch+json" if isinstance(body, list) else "fhir+json"
            headers = {"Content-Type": f"application/{kind}"}
            content = None if body is None else json.dumps(body).encode()
            yield client.request(method, path, content=content, headers=headers)


@pytest.fixture
def secrets(database: str) -> list[str]:
    """What nobody may see."""
    password = str(conninfo_to_dict(database)["password"])
    assert len(password) > 10
    return [*SECRETS.values(), password]


def test_no_secret_and_no_patient_is_told(server: RunningServer, secrets: list[str]) -> None:
    told = list(answers(server))
    for answer in told:
        shown = answer.text + str(answer.headers)
        assert not [each for each in secrets if each in shown], answer.request.url
    for name in ("/metrics", "/", "/health/ready", "/fhir/metadata"):
        page = next(each for each in told if each.request.url.path == name)
        assert PATIENT not in page.text
        assert NUMBER not in page.text
    log = server.log.read_text()
    assert '"interaction": "create"' in log
    assert not [each for each in (*secrets, PATIENT, NUMBER) if each in log]


def test_no_secret_is_in_the_list_of_processes(server: RunningServer, secrets: list[str]) -> None:
    main = psutil.Process(server.process.pid)
    commands = [each.cmdline() for each in (main, *main.children(recursive=True))]
    assert len(commands) >= 2
    assert not [each for each in secrets if each in str(commands)]
    everybody = Path("/proc").glob("[0-9]*/cmdline")
    assert not [each for each in everybody if b"S3ntinel" in _content(each)]


def test_a_failure_inside_tells_nobody_of_the_patient(server: RunningServer, database: str) -> None:
    """The table is gone: what PostgreSQL says of it, with values, stays out of answer and log."""
    with httpx.Client(base_url=server.base_url, timeout=60, trust_env=False) as client:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("alter table tenant_default.resource rename to elsewhere")
        try:
            body = {"resourceType": "Patient", "name": [{"family": PATIENT}]}
            answer = client.post("/Patient", json=body, headers={
                "Content-Type": "application/fhir+json", "X-Request-Id": "lost",
            })  # fmt: skip
        finally:
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("alter table tenant_default.elsewhere rename to resource")
    assert answer.status_code == 500
    assert PATIENT not in answer.text
    assert "elsewhere" not in answer.text
    assert "tenant_default" not in answer.text
    log = server.log.read_text()
    assert "request lost failed" in log
    assert PATIENT not in log


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
