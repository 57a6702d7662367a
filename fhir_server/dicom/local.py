"""An Orthanc of this machine, run beside the server with the configuration that comes with it."""

import json
import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from fhir_server.dicom.settings import ArchiveSettings
from fhir_server.packaged import folder

USER = "fhir-server"

_PLUGINS = Path("/usr/share/orthanc/plugins")
_DICOMWEB = "libOrthancDicomWeb.so"
_PYTHON = "libOrthancPython.so"
# Who may send images at first: dcmtk's storescu on this machine.
_DEVICES = {
    "DicomModalities": {
        "storescu": {
            "AET": "STORESCU",
            "Host": "127.0.0.1",
            "Port": 104,
            "AllowEcho": True,
            "AllowStore": True,
            "AllowFind": False,
            "AllowFindWorklist": False,
            "AllowMove": False,
        }
    }
}
_READY_WITHIN_SECONDS = 60.0
_STOP_WITHIN_SECONDS = 15.0
_LOOK_EVERY_SECONDS = 0.5
# How long that of a server which was killed may take to end.
FORMER_ENDS_WITHIN_SECONDS = 10.0


class NotInstalled(Exception):
    """There is no Orthanc with its DICOMweb plugin on this machine."""


class DoesNotRun(Exception):
    """Orthanc is there, and cannot be used."""


class EndedAtOnce(DoesNotRun):
    """It ended as soon as it was started."""


def program() -> Path:
    """Where Orthanc is. Raises `NotInstalled`."""
    found = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if found is None or not (_PLUGINS / _DICOMWEB).exists():
        raise NotInstalled(
            "Orthanc with its DICOMweb plugin is not installed. On Debian or Ubuntu: "
            "sudo apt-get install orthanc orthanc-dicomweb orthanc-python"
        )
    return Path(found)


def sends_hints() -> bool:
    """Whether the plugin is installed in which Orthanc's side of the bridge runs."""
    return (_PLUGINS / _PYTHON).exists()


@dataclass(slots=True)
class LocalOrthanc:
    """One Orthanc: its folder, its ports, its process.

    folder: where images, index and configuration are kept.
    hint_url, hint_secret: for its side of the bridge. more: settings of Orthanc beside or instead
        of those that come with the server.
    """

    folder: Path
    http_port: int = 8042
    dicom_port: int = 4242
    hint_url: str = ""
    hint_secret: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def url(self) -> str:
        """Of its REST API."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def password(self) -> str:
        """The password of `USER`, made once a folder."""
        return kept_secret(self.folder / "password")

    @property
    def settings(self) -> ArchiveSettings:
        """What a client of it needs."""
        return ArchiveSettings(self.url, USER, self.password)

    @property
    def log(self) -> Path:
        """Where it tells what goes wrong."""
        return self.folder / "orthanc.log"

    def start(self, *, former_ends_within: float = 0.0) -> None:
        """Start it; returns when it answers. Raises `NotInstalled` or `DoesNotRun`.

        former_ends_within: seconds for which it is tried again if it ends at once, since that of a
            server which was killed may be ending, and have its ports yet.
        """
        end = time.monotonic() + former_ends_within
        while True:
            try:
                self._start()
            except EndedAtOnce:
                if time.monotonic() > end:
                    raise
                time.sleep(_LOOK_EVERY_SECONDS)
            else:
                return

    def _start(self) -> None:
        command = [str(program()), str(self._configure().parent)]
        if (setpriv := shutil.which("setpriv")) is not None:
            # It must not outlive a server that was killed: the next one needs its ports.
            command = [setpriv, "--pdeathsig", "SIGTERM", *command]
        environment = {
            **os.environ,
            "ORTHANC_USER": USER,
            "ORTHANC_PASSWORD": self.password,
            "FHIR_HINT_URL": self.hint_url,
            "FHIR_HINT_SECRET": self.hint_secret,
            "TCP_NODELAY": "1",
        }
        with self.log.open("ab") as output:
            # Not of the terminal's group: Ctrl-C is for the server, which stops it in its turn.
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Let it finish what it does, for a while."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def watch(self) -> None:
        """Start it again whenever it has ended by itself."""
        threading.Thread(target=self._keep_running, name="orthanc", daemon=True).start()

    def _keep_running(self) -> None:
        while (process := self.process) is not None:
            if process.poll() is not None and self.process is process:
                try:
                    self.start()
                except DoesNotRun:
                    time.sleep(_LOOK_EVERY_SECONDS)
            time.sleep(_LOOK_EVERY_SECONDS)

    def _configure(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        # In a folder alone, every file of which Orthanc reads: people add their devices there.
        path = self.folder / "configuration" / "orthanc.json"
        path.parent.mkdir(exist_ok=True)
        devices = path.with_name("devices.json")
        if not devices.exists():
            devices.write_text(json.dumps(_DEVICES, indent=1))
        settings = json.loads((folder("orthanc") / "orthanc.json").read_text())
        plugins = [str(_PLUGINS / _DICOMWEB)]
        if sends_hints():
            plugins.append(str(_PLUGINS / _PYTHON))
            settings["PythonScript"] = str(folder("orthanc") / "bridge.py")
        settings |= {
            "StorageDirectory": str(self.folder / "images"),
            "IndexDirectory": str(self.folder / "index"),
            "HttpPort": self.http_port,
            "HttpBindAddresses": ["127.0.0.1"],
            "RemoteAccessAllowed": False,
            "DicomPort": self.dicom_port,
            "Plugins": plugins,
        }
        settings["DicomWeb"]["Host"] = f"127.0.0.1:{self.http_port}"
        settings |= self._own_settings() | dict(self.more)
        path.write_text(json.dumps(settings, indent=1))
        return path

    def _own_settings(self) -> dict[str, Any]:
        """What the operator of this machine wants otherwise. Raises `DoesNotRun` for no JSON."""
        path = self.folder / "settings.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise DoesNotRun(f"{path}: {error}") from None
        return found

    def _wait_until_it_answers(self) -> None:
        assert self.process is not None
        end = time.monotonic() + _READY_WITHIN_SECONDS
        with httpx.Client(timeout=2, trust_env=False) as client:
            while time.monotonic() < end:
                if self.process.poll() is not None:
                    raise EndedAtOnce(f"Orthanc ended at once; {self.log} tells why")
                try:
                    client.get(f"{self.url}/system")
                except httpx.TransportError:
                    time.sleep(0.05)
                else:
                    return
        raise DoesNotRun(f"Orthanc did not answer within {_READY_WITHIN_SECONDS:g} seconds")


def kept_secret(path: Path) -> str:
    """A secret that is made at the first call and stays in a file only the owner reads."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = secrets.token_hex(24)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(made)
        return made
