"""Running the server: database, migrations, worker processes."""

import importlib
import logging
import os
import select
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

import httpx
import psycopg
from pydantic import SecretStr

from fhir_server.dicom.local import (
    FORMER_ENDS_WITHIN_SECONDS,
    DoesNotRun,
    LocalOrthanc,
    NotInstalled,
    kept_secret,
)
from fhir_server.identity.requirements import identity_problem
from fhir_server.logs import configure_logs
from fhir_server.messaging.settings import read_messaging
from fhir_server.secret_settings import plain
from fhir_server.settings import Settings
from fhir_server.storage.embedded import DirectoryInUse, EmbeddedPostgres
from fhir_server.storage.migrate import migrate_all
from fhir_server.storage.roles import own_login
from fhir_server.tenant_settings import TenantsError, TenantSettings
from fhir_server.transport import connection_options, exposure, tls_problem

log = logging.getLogger(__name__)

FHIR_PATH = "/fhir"
_READY_WITHIN_SECONDS = 60.0
_STOP_WITHIN_SECONDS = 20
_EVERYBODY = (
    "AUTHENTICATION IS OFF: everybody on this machine is the local administrator and may see and "
    "change everything; set --authentication before there are real patients"
)


def serve(settings: Settings) -> int:
    """Serve until a signal says stop: SIGTERM and SIGINT let running requests finish."""
    configure_logs(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    if problem := _impossible(settings):
        return _refuse(problem)
    if settings.authentication == "off":
        log.warning("%s", _EVERYBODY)
    try:
        with (
            _measured(),
            _importing("fhir_server.app") as imported,
            database(settings) as urls,
            _images(settings) as settings,
        ):
            # Migrating imports some of the same: of two threads one would see half of it.
            imported()
            server_url = _migrated(urls)
            if server_url is None:
                return 1
            _hand_over(settings, server_url)
            _run_workers(settings)
    except (DirectoryInUse, NotInstalled, DoesNotRun) as error:
        return _refuse(str(error))
    return 0


def _impossible(settings: Settings) -> str:
    """Why the server cannot or must not start; empty if it may."""
    return (
        exposure(settings.host, settings.authentication)
        or identity_problem(settings)
        or tls_problem(settings)
        or _unsealable(settings)
        or _mixed(settings)
        or _taken(settings)
    )


@contextmanager
def _measured() -> Iterator[None]:
    """A place for the figures of all workers, known before what is measured is imported."""
    with tempfile.TemporaryDirectory() as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
        yield


@contextmanager
def _importing(module: str) -> Iterator[Callable[[], None]]:
    """Import what workers need, once for all of them, while the database starts.

    They are forked, those that take another's place later as well. Gives what waits for the end.
    """
    thread = threading.Thread(target=importlib.import_module, args=(module,))
    thread.start()
    try:
        yield thread.join
    finally:
        thread.join()


def _mixed(settings: Settings) -> str:
    """What is wrong with the settings of single tenants; empty if nothing is."""
    try:
        TenantSettings(settings)
    except TenantsError as error:
        return str(error)
    return ""


def _unsealable(settings: Settings) -> str:
    """Why what is to be encrypted at rest cannot be; empty if it can."""
    from fhir_server.sealing.settings import read_sealing

    try:
        read_sealing(settings.seal_elements, settings.seal_keys)
    except ValueError as error:
        return str(error)
    return ""


def _taken(settings: Settings) -> str:
    """Why an address cannot be listened on; empty if all can."""
    from fhir_server.workers import port_is_free

    messaging = read_messaging(settings.mllp_config, settings.mllp_port, settings.mllp_host)
    wanted = [(settings.host, settings.port, "--port chooses another")]
    wanted += [(e.host, e.port, f"listener {e.name} needs another") for e in messaging.listeners]
    for host, port, hint in wanted:
        try:
            if not port_is_free(host, port):
                return f"port {port} is in use; {hint}"
        except OSError as error:
            return f"cannot listen on {host}:{port}: {error.strerror}"
    return ""


def _leave(number: int, _: object) -> NoReturn:
    """A signal before the workers run: undo what was begun."""
    raise SystemExit(128 + number)


def _refuse(reason: str) -> int:
    sys.stderr.write(f"fhir-server: {reason}\n")
    return 1


def migrate_database(settings: Settings) -> int:
    """Bring the database to this release's schema and say what was done."""
    configure_logs(settings)
    try:
        with database(settings) as urls:
            return 1 if _migrated(urls, tell=True) is None else 0
    except DirectoryInUse as error:
        return _refuse(str(error))


def health(base_url: str) -> int:
    """Exit status 0 if the server at a URL is ready."""
    root = base_url.removesuffix("/").removesuffix(FHIR_PATH)
    try:
        answer = httpx.get(f"{root}/health/ready", timeout=5)
    except httpx.HTTPError as error:
        sys.stderr.write(f"fhir-server: {root} does not answer: {error}\n")
        return 1
    sys.stdout.write(f"{answer.text}\n")
    return 0 if answer.status_code == 200 else 1


class Urls(NamedTuple):
    """Of one database.

    server: None for one of the server's own, where it is made of the owner's.
    """

    owner: str
    server: str | None


@contextmanager
def database(settings: Settings) -> Iterator[Urls]:
    """The database's URLs; the embedded one runs, and is kept running, inside the block.

    Raises `DirectoryInUse`.
    """
    if settings.database_url is not None:
        server_url = settings.database_url.get_secret_value()
        owner = settings.migration_database_url
        yield Urls(owner.get_secret_value() if owner else server_url, server_url)
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        url = embedded.start()
        embedded.watch()
        yield Urls(url, None)
    finally:
        embedded.stop()


@contextmanager
def _images(settings: Settings) -> Iterator[Settings]:
    """The settings with the Orthanc that runs, and is kept running, inside the block."""
    if not settings.with_orthanc:
        yield settings
        return
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    folder = settings.data_dir.resolve() / "orthanc"
    archive = LocalOrthanc(
        folder,
        settings.orthanc_http_port,
        settings.orthanc_dicom_port,
        f"http://{host}:{settings.port}/orthanc/hint",
        kept_secret(folder / "hint-secret"),
    )
    try:
        archive.start(former_ends_within=FORMER_ENDS_WITHIN_SECONDS)
        archive.watch()
        found = {
            "orthanc_url": archive.url,
            "orthanc_user": archive.settings.user,
            "orthanc_password": SecretStr(archive.password),
            "orthanc_hint_secret": SecretStr(archive.hint_secret),
        }
        yield settings.model_copy(update=found)
    finally:
        archive.stop()


def _migrated(urls: Urls, *, tell: bool = False) -> str | None:
    """What the server logs in with to the database, which is of this release now; None if not."""
    try:
        server_url = urls.server or own_login(urls.owner)
        done, weaknesses = migrate_all(urls.owner, server_url)
    except (psycopg.OperationalError, RuntimeError) as error:
        _refuse(f"the database cannot be used: {error}")
        return None
    for each in weaknesses:
        log.warning("%s", each)
    if tell:
        for schema, (before, after) in done.items():
            change = f"at revision {after}" if before == after else f"from {before} to {after}"
            sys.stdout.write(f"{schema}: {change}\n")
    return server_url


def _hand_over(settings: Settings, database_url: str) -> None:
    """Put the settings into the environment, from which each worker process reads them."""
    for name, value in settings.model_dump().items():
        if value is not None:
            os.environ[f"FHIR_SERVER_{name.upper()}"] = str(plain(value))
            os.environ.pop(f"FHIR_SERVER_{name.upper()}_FILE", None)
    os.environ["FHIR_SERVER_DATABASE_URL"] = database_url
    os.environ.pop("FHIR_SERVER_MIGRATION_DATABASE_URL", None)


def _run_workers(settings: Settings) -> None:
    from granian.constants import HTTPModes, Interfaces, Loops

    from fhir_server.workers import Workers, readiness

    ready = readiness()
    Workers(
        "fhir_server.app:create",
        factory=True,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        loop=Loops.uvloop,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_WITHIN_SECONDS,
        when_spawned=threading.Thread(target=_welcome, args=(settings, ready), daemon=True).start,
        **connection_options(settings),
    ).serve()


def _welcome(settings: Settings, ready: int) -> None:
    """Tell a person at the terminal what to type next, once requests are answered."""
    root = _root(settings)
    if not select.select([ready], [], [], _READY_WITHIN_SECONDS)[0]:
        log.error("the server did not become ready within %d s", _READY_WITHIN_SECONDS)
        return
    place = "an external PostgreSQL" if settings.database_url else _absolute(settings.data_dir)
    hints = _HINTS[settings.authentication].format(root=root, base=root + FHIR_PATH)
    sys.stderr.write(f"\nFHIR R4 server ready at {root}{FHIR_PATH} (data in {place})\n\n{hints}\n")
    sys.stderr.flush()


_FOR_ALL = """\
  A page for people:     {root}/
  What it can do:        curl '{base}/metadata?_pretty=true'
"""
_AFTER_ALL = """\
  Stop:                  Ctrl-C
"""
_HINTS = {
    "off": _FOR_ALL
    + """\
  Put in a patient:      curl -H 'Content-Type: application/fhir+json' {base}/Patient \\
                           -d '{{"resourceType": "Patient", "name": [{{"family": "Chalmers"}}]}}'
  Find it:               curl '{base}/Patient?name=chal&_pretty=true'
  See a small hospital:  .venv/bin/fhir-server demo --base-url {base}
  Load a folder:         .venv/bin/fhir-server load FOLDER --base-url {base}
"""
    + _AFTER_ALL,
    "embedded": _FOR_ALL
    + """\
  Let somebody in:       .venv/bin/fhir-server user add NAME --role doctor
  Let a program in:      .venv/bin/fhir-server client add NAME --backend --scope 'system/*.rs'
  Get a token for it:    curl -u NAME:SECRET {root}/auth/token \\
                           -d grant_type=client_credentials -d 'scope=system/*.rs'
"""
    + _AFTER_ALL,
    "external": _FOR_ALL
    + """\
  Find a patient:        curl -H "Authorization: Bearer $TOKEN" '{base}/Patient?name=chal'
"""
    + _AFTER_ALL,
}


def _root(settings: Settings) -> str:
    """Where a person at this machine reaches the server."""
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::") else settings.host
    scheme = "http" if settings.tls_certificate is None else "https"
    return f"{scheme}://{host}:{settings.port}"


def _absolute(path: Path) -> str:
    return str(path.resolve())
