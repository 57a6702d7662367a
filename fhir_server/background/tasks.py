"""Tasks that run beside the requests of a process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0

# Endless, unless it fails or is cancelled.
Loop = Callable[[], Awaitable[None]]


@asynccontextmanager
async def running(*loops: Loop) -> AsyncIterator[None]:
    """Keep some endless functions running inside the block; one that fails begins again."""
    tasks = [asyncio.create_task(_kept_up(loop)) for loop in loops]
    try:
        yield
    finally:
        await _end(set(tasks))


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: one that gets a result that moment may miss it."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=_PAUSE_SECONDS)


async def _kept_up(loop: Loop) -> None:
    while True:
        try:
            await loop()
        except Exception:
            log.exception("a background task failed; it begins again")
        await asyncio.sleep(_PAUSE_SECONDS)
