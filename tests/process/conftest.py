"""A data directory whose PostgreSQL does not outlive the test, whatever was killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where a server of this test runs, with its data in `data`."""
    yield tmp_path
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(postmaster(tmp_path), signal.SIGKILL)


def postmaster(directory: Path) -> int:
    """The process id of the embedded PostgreSQL."""
    return int((directory / "data" / "postgres" / "postmaster.pid").read_text().splitlines()[0])
