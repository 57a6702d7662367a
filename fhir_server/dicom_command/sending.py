"""Sends files in uploads of a bounded size, and tells what became of each."""

import argparse
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

# What one upload brings; servers take more.
MOST_FILES = 50
MOST_BYTES = 200 * 1024 * 1024
_PIECE = 256 * 1024
_TIMEOUT = httpx.Timeout(600.0, connect=10.0)
_FHIR = "/fhir"


@dataclass(frozen=True, slots=True)
class Sending:
    """Where files go, and how they are meant."""

    url: str
    query: dict[str, str]
    headers: dict[str, str]


def run(arguments: argparse.Namespace) -> int:
    """Send everything; 0 when all of it was taken."""
    files = list(_files(arguments.paths))
    if not files:
        sys.stderr.write("fhir-server dicom: no files there\n")
        return 1
    sending = _sending(arguments)
    taken = refused = 0
    total = sum(path.stat().st_size for path in files)
    with (
        httpx.Client(timeout=_TIMEOUT) as client,
        tqdm(total=total, unit="B", unit_scale=True, disable=arguments.quiet) as progress,
    ):
        for batch in batches(files):
            try:
                found = _sent(client, sending, batch, progress)
            except (httpx.HTTPError, ValueError) as error:
                sys.stderr.write(f"fhir-server dicom: {sending.url}: {error}\n")
                return 1
            for line in _told(found):
                refused += 1
                progress.write(line, file=sys.stderr)
            taken += sum(_value(part, "status") != "refused" for part in found)
    sys.stdout.write(f"{taken} files are kept, {refused} refused.\n")
    return 1 if refused else 0


def _sending(arguments: argparse.Namespace) -> Sending:
    root = arguments.base_url.rstrip("/").removesuffix(_FHIR)
    query = {"source": arguments.source}
    if arguments.order:
        query["order"] = arguments.order
    if arguments.remove_private:
        query["remove-private"] = "true"
    headers = {"Authorization": f"Bearer {arguments.token}"} if arguments.token else {}
    return Sending(f"{root}/dicom/uploads", query, headers)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.is_file())
        else:
            yield path


def batches(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Files in groups that are neither many nor large."""
    batch: list[Path] = []
    size = 0
    for path in files:
        length = path.stat().st_size
        if batch and (len(batch) == MOST_FILES or size + length > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += length
    if batch:
        yield batch


def _sent(
    client: httpx.Client, sending: Sending, batch: Sequence[Path], progress: "tqdm[Any]"
) -> list[dict[str, Any]]:
    boundary = secrets.token_hex(16)
    headers = sending.headers | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = client.post(
        sending.url,
        params=sending.query,
        headers=headers,
        content=body(batch, boundary, progress.update),
    )
    found = answer.json()
    if found.get("resourceType") != "Parameters":
        issues = found.get("issue", ({},))
        raise ValueError(issues[0].get("diagnostics", f"status {answer.status_code}"))
    return [each for each in found["parameter"] if each["name"] == "file"]


def body(batch: Sequence[Path], boundary: str, sent: Any) -> Iterator[bytes]:
    """A multipart form of files, read piece by piece."""
    for path in batch:
        name = path.name.replace('"', "_").replace("\r", "_").replace("\n", "_")
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        yield head.encode()
        with path.open("rb") as content:
            while piece := content.read(_PIECE):
                yield piece
                sent(len(piece))
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _told(found: Iterable[dict[str, Any]]) -> Iterator[str]:
    for part in found:
        if _value(part, "status") == "refused":
            yield f"{_value(part, 'name')}: {_value(part, 'reason')}"


def _value(part: dict[str, Any], name: str) -> str:
    for each in part["part"]:
        if each["name"] == name:
            return str(next(value for key, value in each.items() if key.startswith("value")))
    return ""
