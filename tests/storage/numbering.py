"""A process that takes numbers; its module imports little, since each process begins with it."""

import asyncio
from multiprocessing import Queue

from psycopg import AsyncConnection

from fhir_server.storage.numbers import Blocks


def take_many(database: str, answers: "Queue[list[int]]") -> None:
    """Put the numbers that a process of its own was given, in their order."""

    async def run() -> list[int]:
        blocks = Blocks(7)
        found = []
        async with await AsyncConnection.connect(database, autocommit=True) as connection:
            for _ in range(200):
                await blocks.fill(connection, "default", "2026", {"order": 1})
                found += await blocks.next(connection, "default", "2026", "order", 1)
        return found

    answers.put(asyncio.run(run()))
