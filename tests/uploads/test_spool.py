"""Files of uploads on disk: whose they are, and who takes them away."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from fhir_server.uploads.settings import UploadSettings
from fhir_server.uploads.spool import Spool, remove_abandoned

_HOLDING = """
import sys, time
from pathlib import Path
from fhir_server.uploads.settings import UploadSettings
from fhir_server.uploads.spool import Spool
spool = Spool(UploadSettings(folder=Path(sys.argv[1])))
writing = spool.new("image")
writing.write(b"of a patient")
print(spool.folder, flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """Hazard: our server killed during an upload; images of patients stay on its disk."""
    (tmp_path / "fhir-upload-file").write_text("no folder")
    (tmp_path / "other").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "fhir-upload-link").symlink_to(tmp_path / "elsewhere")
    own = Spool(UploadSettings(folder=tmp_path))
    command = [sys.executable, "-c", _HOLDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        remove_abandoned(tmp_path)
        assert len(list(left.iterdir())) == 1
        os.kill(process.pid, signal.SIGKILL)
    remove_abandoned(tmp_path)
    names = {"fhir-upload-file", "other", "elsewhere", "fhir-upload-link"}
    assert {each.name for each in tmp_path.iterdir()} == names | {own.folder.name}
    own.remove()
    assert {each.name for each in tmp_path.iterdir()} == names
