"""Connections to a migrated database of the module's own."""

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from fhir_server.storage.store import Connection


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    """A connection on which each statement commits by itself."""
    async with await AsyncConnection.connect(database, autocommit=True) as found:
        yield found


@pytest.fixture
async def other_connection(database: str) -> AsyncIterator[Connection]:
    """A second one, as another worker has it."""
    async with await AsyncConnection.connect(database, autocommit=True) as found:
        yield found
