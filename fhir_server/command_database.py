"""The database that a command works on, whether a server runs beside it or not."""

from collections.abc import Iterator
from contextlib import contextmanager

from fhir_server.settings import Settings
from fhir_server.storage.embedded import EmbeddedPostgres
from fhir_server.storage.migrate import migrate_all


@contextmanager
def command_database(settings: Settings) -> Iterator[str]:
    """The URL of the database: as set, of a server that runs, or of one that runs for this.

    Raises `DirectoryInUse`.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    if (url := embedded.join()) is not None:
        yield url
        return
    try:
        url = embedded.start()
        migrate_all(url)
        yield url
    finally:
        embedded.stop()
