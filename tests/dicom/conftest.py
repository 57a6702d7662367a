"""A real Orthanc for every test of images; without one they are skipped, and say so."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fhir_server.dicom.local import LocalOrthanc, NotInstalled, program
from fhir_server.dicom.orthanc import Orthanc
from tests.conftest import free_port, fresh_database
from tests.dicom.hospital import Hospital, served
from tests.worklist.conftest import TITLE

STABLE_SECONDS = 1

# Anybody may send, and a study is stable soon.
OPEN = {
    "StableAge": STABLE_SECONDS,
    "DicomAlwaysAllowEcho": True,
    "DicomAlwaysAllowStore": True,
    "DicomAlwaysAllowFind": True,
    "DicomCheckModalityHost": False,
}

StartOrthanc = Callable[..., LocalOrthanc]


@pytest.fixture(scope="session")
async def hospital(
    postgres: str, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hospital]:
    """A server with a worklist, an Orthanc and a folder, for all tests that let them live."""
    skip_without_orthanc()
    with tempfile.TemporaryDirectory(prefix="orthanc-test-") as folder:
        orthanc = LocalOrthanc(Path(folder), free_port(), free_port(), more=OPEN)
        orthanc.start()
        port = free_port()
        try:
            with fresh_database(postgres, "tests_dicom_hospital", migrated) as database:
                more = {"worklist_port": port, "worklist_title": TITLE}
                async with served(database, orthanc, **more) as client:
                    images = tmp_path_factory.mktemp("images")
                    yield Hospital(client, orthanc, images, port)
        finally:
            kill(orthanc)


def skip_without_orthanc() -> None:
    """Skip a test on a machine that has none, and say so."""
    try:
        program()
    except NotInstalled as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def start_orthanc() -> Iterator[StartOrthanc]:
    """Starts an Orthanc with an empty archive, to which settings of Orthanc may be given."""
    skip_without_orthanc()
    with ExitStack() as stack:

        def start(hint_url: str = "", hint_secret: str = "", **more: Any) -> LocalOrthanc:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orthanc-test-")))
            found = LocalOrthanc(
                folder, free_port(), free_port(), hint_url, hint_secret, OPEN | more
            )
            stack.callback(kill, found)
            found.start()
            return found

        yield start


def kill(orthanc: LocalOrthanc) -> None:
    """End it as a power cut does."""
    process, orthanc.process = orthanc.process, None
    if process is not None:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    """The Orthanc of a module of tests."""
    return start_orthanc()


@pytest.fixture(scope="module")
async def archive(orthanc: LocalOrthanc) -> AsyncIterator[Orthanc]:
    """A client of the module's Orthanc."""
    found = Orthanc(orthanc.settings)
    yield found
    await found.close()
