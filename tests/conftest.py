"""Real parts for every test: an embedded PostgreSQL, the wired application, a running server."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.conninfo import make_conninfo

from fhir_server.app import build
from fhir_server.settings import Settings
from fhir_server.storage.embedded import EmbeddedPostgres
from fhir_server.storage.migrate import migrate

pytest_plugins = ["tests.no_skips"]

# Time is never asserted: a machine under load draws its examples slowly.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

FHIR_JSON = {"Content-Type": "application/fhir+json"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The connection string of an embedded PostgreSQL that lives as long as the test run."""
    with tempfile.TemporaryDirectory(prefix="fhir-test-") as directory:
        Path(directory).chmod(0o755)
        embedded = EmbeddedPostgres(Path(directory))
        yield embedded.start()
        embedded.stop()


@contextmanager
def fresh_database(postgres: str, name: str) -> Iterator[str]:
    """A new, empty database on the test run's PostgreSQL."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}"')
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')


@pytest.fixture(scope="module")
def empty_database(postgres: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new database of the module's own, without tables."""
    name = request.module.__name__.replace(".", "_")[-60:]
    with fresh_database(postgres, name) as url:
        yield url


@pytest.fixture(scope="module")
def database(empty_database: str) -> str:
    """A migrated database of the module's own."""
    migrate(empty_database)
    return empty_database


@pytest.fixture(scope="module")
def definition_folders() -> Sequence[Path] | None:
    """Whose definitions the application of `client` has; None for those that it comes with."""
    return None


@pytest.fixture(scope="module")
async def client(
    database: str, definition_folders: Sequence[Path] | None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application, in this process, on the module's database."""
    settings = Settings(database_pool=8, max_bundle_entries=300)
    app = build(settings, database, definition_folders)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir/", headers=FHIR_JSON, timeout=60
        ) as found,
    ):
        yield found


@dataclass(slots=True)
class RunningServer:
    """A server process of its own, with the address it answers at."""

    process: subprocess.Popen[bytes]
    root: str
    log: Path

    @property
    def base_url(self) -> str:
        """The FHIR base URL."""
        return f"{self.root}/fhir"

    def wait_until_ready(self, within: float = 60.0) -> None:
        """Return once requests are answered."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.root}/health/ready", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready within {within} s: {self.log.read_text()}")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running_server(
    directory: Path, *options: str, port: int | None = None
) -> Iterator[RunningServer]:
    """`fhir-server serve` with options, as a process of its own, stopped at the end."""
    port = port or free_port()
    log = directory / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fhir_server.cli", "serve", "--port", str(port), *options],
            stdout=output,
            stderr=output,
            cwd=directory,
        )
    server = RunningServer(process, f"http://127.0.0.1:{port}", log)
    try:
        server.wait_until_ready()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
