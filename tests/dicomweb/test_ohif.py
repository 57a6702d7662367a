"""OHIF's published build in a real browser, with our DICOMweb as its archive."""

import base64
import functools
import http.server
import io
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.dicomweb.conftest import Viewer

ROOT = Path(__file__).parents[2]
WITHIN_SECONDS = 240
STUDIES = ("CT_small.dcm", "examples_ybr_color.dcm", "JPEG2000.dcm")


class Pages(http.server.SimpleHTTPRequestHandler):
    """OHIF's files, with a configuration of ours; each path that is no file is the viewer's own."""

    def __init__(self, *given: Any, configuration: str, **named: Any) -> None:
        self._configuration = configuration.encode()
        super().__init__(*given, **named)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/app-config.js":
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript")
            self.send_header("Content-Length", str(len(self._configuration)))
            self.end_headers()
            self.wfile.write(self._configuration)
            return
        if not (Path(self.directory) / path.lstrip("/")).is_file():
            self.path = "/index.html"
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def documented(base: str) -> str:
    """The configuration that docs/imaging.md gives, for a server of the test."""
    text = (ROOT / "docs" / "imaging.md").read_text()
    _, _, rest = text.partition("```javascript\n")
    configuration, _, _ = rest.partition("```")
    assert "window.config" in configuration
    return configuration.replace("http://localhost:8080/dicom-web", base)


@pytest.fixture(scope="module")
def shown(viewer: Viewer, chromium: str, build: tuple[str, str]) -> dict[str, Any]:
    """What the browser tells after it has looked at the list and at some studies."""
    dist, driver = build
    handler = functools.partial(Pages, directory=dist, configuration=documented(viewer.base))
    port = int(viewer.page.rpartition(":")[2])
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        studies = [viewer.shipped(name).split("/")[3] for name in STUDIES]
        script = str(Path(__file__).with_name("browse.mjs"))
        found = subprocess.run(
            ["node", script, driver, chromium, viewer.page, viewer.base, *studies],
            capture_output=True,
            text=True,
            timeout=WITHIN_SECONDS,
        )
        pages.shutdown()
    assert found.returncode == 0, found.stderr + viewer.log.read_text()
    told: dict[str, Any] = json.loads(found.stdout)
    return told


@pytest.fixture(scope="module")
def chromium() -> str:
    """Where the browser is."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed: sudo apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def build() -> tuple[str, str]:
    """OHIF's files, and what drives a browser."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm is not installed: sudo apt-get install npm")
    found = subprocess.run(
        [ROOT / "scripts" / "fetch-viewer"], capture_output=True, text=True, timeout=WITHIN_SECONDS
    )
    if found.returncode:
        pytest.skip(f"OHIF could not be fetched: {found.stderr[-300:]}")
    dist, driver = found.stdout.split()
    return dist, driver


def test_the_study_list_shows_every_study(shown: dict[str, Any]) -> None:
    for text in ("Łąka, Ján", "ACC-7", "e+1", "RTDOSE", "CompressedSamples"):
        assert text in shown["list"]


def test_each_study_is_drawn(viewer: Viewer, shown: dict[str, Any]) -> None:
    for name, url in zip(STUDIES, shown["pictures"], strict=True):
        _, _, data = url.partition(",")
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert len(set(picture.convert("L").tobytes())) > 16, name


def test_the_picture_on_the_screen_is_the_picture_in_the_file(
    viewer: Viewer, shown: dict[str, Any]
) -> None:
    answer = viewer.client.get(
        f"{viewer.shipped('CT_small.dcm')}/rendered", headers={"Accept": "image/png"}
    )
    with Image.open(io.BytesIO(answer.content)) as picture:
        expected = small(picture)
    with Image.open(io.BytesIO(base64.b64decode(shown["pictures"][0].partition(",")[2]))) as screen:
        side = min(screen.size)
        left, top = (screen.width - side) // 2, (screen.height - side) // 2
        found = small(screen.crop((left, top, left + side, top + side)))
    differences = [abs(one - other) for one, other in zip(found, expected, strict=True)]
    assert sum(differences) / len(differences) < 10


def small(picture: Image.Image) -> bytes:
    return picture.convert("L").resize((16, 16), Image.Resampling.BOX).tobytes()


def test_nothing_that_the_viewer_asks_is_refused(shown: dict[str, Any]) -> None:
    assert shown["failed"] == []
    assert [each for each in shown["asked"] if each[0] >= 400] == []
    paths = [path for _, path in shown["asked"]]
    for part in ("/studies?", "/series?", "/metadata", "/frames/1", "/thumbnail"):
        assert any(part in path for path in paths), part
    assert not [each for each in shown["complaints"] if "CORS" in each]
