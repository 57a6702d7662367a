"""Uploads through the server beside the same files sent straight to Orthanc, and their memory.

`python -m benchmarks.uploads`: starts an Orthanc and a server of its own; needs Orthanc on the
machine. Sends 200 small instances in turns both ways, then files of 64 MB, a gigabyte in all, while
it watches the memory of the server's worker. The exit status is 1 where the rate is below half of
the direct one, or memory grows by more than 150 MB.
"""

import argparse
import io
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from fhir_server.dicom.local import LocalOrthanc
from tests.conftest import free_port, running_server

_CT = "1.2.840.10008.5.1.4.1.1.2"
_LEAST_RATE = 0.5
_MOST_GROWTH = 150
_MEGABYTE = 1024 * 1024


def main() -> int:
    """Exit status 1 where a bound is passed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.uploads", description=__doc__)
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=16, help="files of 64 MB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        orthanc = LocalOrthanc(folder / "orthanc", free_port(), free_port())
        orthanc.start()
        options = [
            "--workers", "1", "--data-dir", str(folder / "data"), "--orthanc-url", orthanc.url,
            "--orthanc-user", orthanc.settings.user,
        ]  # fmt: skip
        try:
            os.environ["FHIR_SERVER_ORTHANC_PASSWORD"] = orthanc.settings.password
            with running_server(folder, *options) as server:
                ratio = _rates(server.root, orthanc, given.instances, given.rounds)
                growth = _growth(server.root, server.process.pid, given.large)
        finally:
            orthanc.stop()
    print(f"rate {ratio:.2f} of straight to Orthanc, at least {_LEAST_RATE} wanted")
    print(f"memory grew by {growth:.0f} MB, at most {_MOST_GROWTH} wanted")
    return 0 if ratio >= _LEAST_RATE and growth <= _MOST_GROWTH else 1


def _rates(root: str, orthanc: LocalOrthanc, count: int, rounds: int) -> float:
    auth = (orthanc.settings.user, orthanc.settings.password)
    direct, ours = [], []
    with (
        httpx.Client(base_url=orthanc.url, auth=auth, timeout=120, trust_env=False) as archive,
        httpx.Client(base_url=root, timeout=120, trust_env=False) as client,
    ):
        for _ in range(rounds):
            files = _files(count)
            started = time.perf_counter()
            for each in files:
                assert archive.post("/instances", content=each).json()["Status"] == "Success"
            direct.append(time.perf_counter() - started)
            files = _files(count)
            started = time.perf_counter()
            answer = client.post(
                "/dicom/uploads", files=[("f", (str(n), data)) for n, data in enumerate(files)]
            )
            ours.append(time.perf_counter() - started)
            assert answer.json()["parameter"][0]["valueCode"] == "success", answer.text[:500]
    ratio = statistics.median(direct) / statistics.median(ours)
    print(f"{count} instances: {statistics.median(direct):.2f} s straight to Orthanc, "
          f"{statistics.median(ours):.2f} s through the server")  # fmt: skip
    return ratio


def _growth(root: str, pid: int, count: int) -> float:
    """Megabytes by which the largest of the server's processes grows meanwhile."""
    watched = _workers(pid)
    before = {each: _resident(each) for each in watched}
    most = dict(before)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for each in watched:
                most[each] = max(most[each], _resident(each))

    thread = threading.Thread(target=watch)
    thread.start()
    started = time.perf_counter()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = httpx.post(
        f"{root}/dicom/uploads", content=_large(count), headers=headers, timeout=600,
        trust_env=False,
    )  # fmt: skip
    done.set()
    thread.join()
    assert answer.json()["parameter"][0]["valueCode"] == "success", answer.text[:500]
    seconds = time.perf_counter() - started
    print(f"{count * 64} MB in {seconds:.1f} s")
    return max(most[each] - before[each] for each in watched)


def _workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [int(each) for each in children]
    return [each for each in found if b"python" in Path(f"/proc/{each}/cmdline").read_bytes()]


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / _MEGABYTE


def _large(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield (
            f'--b\r\nContent-Disposition: form-data; name="f"; filename="{number}"\r\n\r\n'
        ).encode()
        yield _file(generate_uid(), generate_uid(), 4096, 8192)
        yield b"\r\n"
    yield b"--b--\r\n"


def _files(count: int) -> list[bytes]:
    study, series = generate_uid(), generate_uid()
    return [_file(study, series, 70, 70) for _ in range(count)]


def _file(study: str, series: str, rows: int, columns: int) -> bytes:
    found = Dataset()
    found.SOPClassUID, found.SOPInstanceUID = _CT, generate_uid()
    found.StudyInstanceUID, found.SeriesInstanceUID = study, series
    found.PatientID, found.PatientName, found.Modality = "BENCH", "Bench^Mark", "CT"
    found.Rows, found.Columns, found.SamplesPerPixel = rows, columns, 1
    found.PhotometricInterpretation = "MONOCHROME2"
    found.BitsAllocated, found.BitsStored, found.HighBit = 16, 16, 15
    found.PixelRepresentation = 0
    found.PixelData = bytes(rows * columns * 2)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta = meta
    output = io.BytesIO()
    dcmwrite(output, found, enforce_file_format=True)
    return output.getvalue()


if __name__ == "__main__":
    sys.exit(main())
