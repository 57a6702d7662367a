"""Real parts for every test: an embedded PostgreSQL, the wired application, a running server."""

import asyncio
import itertools
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
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
from tests import tokens

pytest_plugins = ["tests.no_skips"]

# Time is never asserted: a machine under load draws its examples slowly.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# Set, whoever is called `client` has a token, and the application asks for it.
WITH_TOKENS = "FHIR_SERVER_TESTS_WITH_TOKENS"

FHIR_JSON = {"Content-Type": "application/fhir+json"}


# They wait more than they compute, so that others have the processor beside them.
_FIRST = ("tests/process/", "tests/benchmarks/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process of a run ends with one alone."""
    items.sort(key=lambda item: not item.nodeid.startswith(_FIRST))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The connection string of an embedded PostgreSQL that lives as long as the test run."""
    with tempfile.TemporaryDirectory(prefix="fhir-test-") as directory:
        Path(directory).chmod(0o755)
        embedded = EmbeddedPostgres(Path(directory))
        url = embedded.start()
        _need_not_last(url)
        yield url
        embedded.stop()


def _need_not_last(postgres: str) -> None:
    # What survives a crash is tested with servers of the tests' own, which keep to the defaults.
    with psycopg.connect(postgres, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"alter system set {setting} = off")
        connection.execute("select pg_reload_conf()")


@contextmanager
def fresh_database(postgres: str, name: str, template: str = "template1") -> Iterator[str]:
    """A new database on the test run's PostgreSQL, empty unless the template is another."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}" strategy file_copy')
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')


def _name_of(module: str, test: str = "") -> str:
    return f"{module}.{test}".replace(".", "_")[-60:]


@pytest.fixture(scope="module")
def empty_database(postgres: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new database of the module's own, without tables."""
    with fresh_database(postgres, _name_of(request.module.__name__, "empty")) as url:
        yield url


@pytest.fixture(scope="session")
def migrated(postgres: str) -> Iterator[str]:
    """The name of a migrated database, of which copies are made."""
    with fresh_database(postgres, "migrated") as url:
        migrate(url)
        yield "migrated"


@pytest.fixture(scope="module")
def database(postgres: str, migrated: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of the module's own."""
    with fresh_database(postgres, _name_of(request.module.__name__), migrated) as url:
        yield url


@pytest.fixture
def own_database(postgres: str, migrated: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = _name_of(request.module.__name__, request.node.name)
    with fresh_database(postgres, name, migrated) as url:
        yield url


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
    headers, gate = FHIR_JSON, None
    if os.environ.get(WITH_TOKENS):
        headers, gate = FHIR_JSON | tokens.everything(), tokens.token_gate()
    app = build(settings, database, definition_folders, gate)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir/", headers=headers, timeout=60
        ) as found,
    ):
        # On a slow machine it begins without having read the search parameters.
        async with asyncio.timeout(60):
            while (await found.get("http://test/health/ready")).is_error:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
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

    def wait_until_ready(self, within: float = 120.0) -> None:
        """Return once requests are answered."""
        end = time.monotonic() + within
        # One client: a new one for each look would take a third of a core from those that start.
        with httpx.Client(timeout=2) as client:
            while time.monotonic() < end:
                assert self.process.poll() is None, self.log.read_text()
                with suppress(httpx.HTTPError):
                    if client.get(f"{self.root}/health/ready").status_code == 200:
                        return
                time.sleep(0.05)
        raise AssertionError(f"not ready within {within} s: {self.log.read_text()}")


# Below those that systems give to outgoing connections, and each process of a run has its own, so
# that nobody takes a port between its choice and its use.
_PORTS_OF_A_PROCESS = 2000
_OF_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1
_FIRST_PORT = 12_000 + _OF_PROCESS % 10 * _PORTS_OF_A_PROCESS
_ports = itertools.cycle(range(_FIRST_PORT, _FIRST_PORT + _PORTS_OF_A_PROCESS))
# Two runs on a machine hardly begin at the same one.
for _ in range(random.Random(os.getpid()).randrange(_PORTS_OF_A_PROCESS)):
    next(_ports)


def free_port() -> int:
    """A port nobody listens on, another one each time."""
    for port in _ports:
        with socket.socket() as found, suppress(OSError):
            found.bind(("0.0.0.0", port))
            return port
    raise AssertionError("ports do not end")


@contextmanager
def running_server(
    directory: Path, *options: str, port: int | None = None
) -> Iterator[RunningServer]:
    """`fhir-server serve` with options, as a process of its own, stopped at the end.

    What it logged last is told when something fails meanwhile.
    """
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
    except BaseException:
        sys.stderr.write(log.read_text()[-4000:])
        raise
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
