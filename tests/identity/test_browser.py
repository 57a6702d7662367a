"""A SMART launch in a real browser, by an application that is nothing but a page."""

import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import free_port, running_server
from tests.identity.smart import PASSWORD

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WITHIN_SECONDS = 240


@pytest.fixture(scope="module")
def chromium() -> str:
    """Where the browser is."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed: sudo apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def driver() -> str:
    """What drives a browser."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm is not installed: sudo apt-get install npm")
    found = subprocess.run(
        [ROOT / "scripts" / "fetch-viewer"], capture_output=True, text=True, timeout=WITHIN_SECONDS
    )
    if found.returncode:
        pytest.skip(f"what drives a browser could not be fetched: {found.stderr[-300:]}")
    return found.stdout.split()[1]


@contextmanager
def application(base_url: str, port: int) -> Iterator[str]:
    """The page of the application, at each path."""
    page = (HERE / "application.html").read_text().replace("BASE", base_url).encode()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{port}"
        server.shutdown()


@pytest.fixture(scope="module")
def launched(
    tmp_path_factory: pytest.TempPathFactory, chromium: str, driver: str
) -> dict[str, Any]:
    """What the browser tells of a launch."""
    folder = tmp_path_factory.mktemp("browser")
    port, own = free_port(), free_port()
    # Two names of this machine, so that the application is another site.
    base_url = f"http://localhost:{port}/fhir"
    with (
        running_server(
            folder,
            "--authentication",
            "embedded",
            "--base-url",
            base_url,
            "--cors-origins",
            f"http://127.0.0.1:{own}",
            "--workers",
            "1",
            port=port,
        ) as server,
        application(base_url, own) as page,
    ):
        (folder / "password").write_text(PASSWORD)
        commands = (
            ["user", "add", "anna", "--role", "administrator", "--password-file", "password"],
            ["client", "add", "page", "--public", "--redirect-uri", f"{page}/done",
             "--scope", "openid fhirUser launch/patient patient/*.rs"],
            ["client", "add", "setup", "--backend", "--scope", "system/*.cruds"],
        )  # fmt: skip
        for each in commands:
            command = [sys.executable, "-m", "fhir_server.cli", *each]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        store_patient(server.root, done.stdout.strip())
        script = str(HERE / "launch.mjs")
        found = subprocess.run(
            ["node", script, driver, chromium, page, "anna", PASSWORD],
            capture_output=True,
            text=True,
            timeout=WITHIN_SECONDS,
        )
    assert found.returncode == 0, found.stderr + server.log.read_text()
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def store_patient(root: str, secret: str) -> None:
    with httpx.Client(base_url=root) as client:
        form = {"grant_type": "client_credentials", "scope": "system/*.cruds"}
        token = client.post("/auth/token", data=form, auth=("setup", secret)).json()["access_token"]
        patient = {
            "resourceType": "Patient",
            "id": "p1",
            "name": [{"family": "Chalmers", "given": ["Peter"]}],
        }
        headers = {"Authorization": f"Bearer {token}"}
        answer = client.put("/fhir/Patient/p1", json=patient, headers=headers)
        assert answer.status_code == 201, answer.text


def test_the_application_reads_the_chosen_patient(launched: dict[str, Any]) -> None:
    found = json.loads(launched["result"])
    assert found["patient"]["id"] == "p1"
    assert "patient/*.rs" in found["scope"].split()
    assert launched["titles"] == ["Log in", "Allow access?"]


def test_the_browser_has_nothing_to_complain_about(launched: dict[str, Any]) -> None:
    complaints = launched["complaints"]
    assert complaints[: complaints.index("-- framed --")] == []


def test_no_other_site_learns_where_the_user_was(launched: dict[str, Any]) -> None:
    """RFC 9700 4.2."""
    assert not [each for each in launched["referers"] if "/auth/" in each]


def test_the_login_page_does_not_show_in_a_frame(launched: dict[str, Any]) -> None:
    """RFC 9700 4.16."""
    assert "Password" not in launched["framed"]
    complaints = launched["complaints"]
    assert any("frame" in each for each in complaints[complaints.index("-- framed --") + 1 :])
