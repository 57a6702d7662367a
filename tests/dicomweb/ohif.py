"""OHIF's published build, served with the configuration of the documentation, in a real browser."""

import base64
import functools
import http.server
import io
import json
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
WITHIN_SECONDS = 240


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


def documented(heading: str, language: str = "javascript") -> str:
    """The first piece of code in a language that docs/imaging.md gives below a heading."""
    text = (ROOT / "docs" / "imaging.md").read_text()
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, heading
    _, _, rest = rest.partition(f"```{language}\n")
    return rest.partition("```")[0]


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser, what drives it, and the folder of OHIF's files."""

    chromium: str
    driver: str
    dist: str

    def tells(
        self,
        page: str,
        configuration: str,
        root: str,
        log: Path,
        studies: Sequence[str],
        **more: Any,
    ) -> dict[str, Any]:
        """What it tells after it has looked at the list and at some studies.

        page: OHIF's origin. root, log: our server's. more: what else `browse.mjs` takes.
        """
        handler = functools.partial(Pages, directory=self.dist, configuration=configuration)
        port = int(page.rpartition(":")[2])
        given = {"driver": self.driver, "browser": self.chromium, "page": page, "root": root}
        script = str(Path(__file__).with_name("browse.mjs"))
        with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as pages:
            threading.Thread(target=pages.serve_forever, args=(0.01,), daemon=True).start()
            found = subprocess.run(
                ["node", script, json.dumps(given | {"studies": list(studies)} | more)],
                capture_output=True,
                text=True,
                timeout=WITHIN_SECONDS,
            )
            pages.shutdown()
        assert found.returncode == 0, found.stderr + log.read_text()
        told: dict[str, Any] = json.loads(found.stdout)
        return told


def drawn(url: str) -> Image.Image:
    """A picture that the browser took of the screen."""
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def greys(url: str) -> int:
    """How many of them a picture of the screen has."""
    with drawn(url) as picture:
        return len(set(picture.convert("L").tobytes()))


def find_browser() -> Browser:
    """One with OHIF; a test is skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed: sudo apt-get install chromium")
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm is not installed: sudo apt-get install npm")
    found = subprocess.run(
        [ROOT / "scripts" / "fetch-viewer"], capture_output=True, text=True, timeout=WITHIN_SECONDS
    )
    if found.returncode:
        pytest.skip(f"OHIF could not be fetched: {found.stderr[-300:]}")
    dist, driver = found.stdout.split()
    return Browser(chromium, driver, dist)
