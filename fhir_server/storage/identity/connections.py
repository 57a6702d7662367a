"""Connections for what is no tenant's, and word of what has changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, TypeAlias

import psycopg
from psycopg_pool import ConnectionPool

from fhir_server.outcome import Issue, Unavailable

Connection: TypeAlias = psycopg.Connection[Any]

# Told whenever somebody may no longer do what they might.
CHANGED = "identity_changed"

_MOST_CONNECTIONS = 4
_WAIT_SECONDS = 10.0


class Connections:
    """A few connections of one process, made when they are needed."""

    def __init__(self, database_url: str) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            database_url,
            kwargs={"autocommit": True, "application_name": "fhir-server identities"},
            min_size=0,
            max_size=_MOST_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            check=ConnectionPool.check_connection,
            open=False,
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction. Raises `Unavailable` where the database does not answer."""
        self._pool.open()
        try:
            with self._pool.connection() as connection, connection.transaction():
                yield connection
        except psycopg.OperationalError as error:
            issue = Issue("transient", "The database does not answer")
            raise Unavailable(issue, headers={"Retry-After": "1"}) from error


def tell(connection: Connection) -> None:
    """Have every process look again at what it remembers of tokens, once this is committed."""
    connection.execute("select pg_notify(%s, '')", (CHANGED,))


def hashed(secret: str) -> bytes:
    """What is stored of a secret that is long and random."""
    return sha256(secret.encode()).digest()
