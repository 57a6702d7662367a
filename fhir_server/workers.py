"""Worker processes on one port: replaced when they die, ended when their parent is gone."""

import asyncio
import errno
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from granian import _signals
from granian._granian import WorkerSignal
from granian.server import MPServer

log = logging.getLogger(__name__)

# A worker that dies younger than this did not get to serve.
_YOUNG_SECONDS = 5.0
_MOST_YOUNG_DEATHS = 10
_PAUSE_SECONDS = 0.5


class Workers(MPServer):
    """Granian, except that it replaces a dead worker however soon the next one dies.

    Granian ends the whole server when a worker dies twice within seconds, as it would when the
    system is out of memory. Only workers that die again and again at their start end this one.

    when_spawned: called once, after the first workers were forked. No thread may run before that
        which holds locks: a fork copies them as they are, and nobody in the copy gives them back.
    """

    def __init__(self, *args: Any, when_spawned: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._when_spawned = when_spawned

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        super()._spawn_workers(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        spawned, self._when_spawned = self._when_spawned, _nothing
        spawned()

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        young_deaths = 0
        while True:
            self.main_loop_interrupt.wait()
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                return
            while self.interrupt_children:
                index = self.interrupt_children[0]
                young = time.monotonic() - self.wrks[index].birth < _YOUNG_SECONDS
                young_deaths = young_deaths + 1 if young else 0
                if young_deaths > _MOST_YOUNG_DEATHS:
                    log.critical("workers die as soon as they start; the server gives up")
                    return
                log.error("worker %d has died; another takes its place", index + 1)
                time.sleep(_PAUSE_SECONDS if young else 0)
                self.interrupt_children.pop(0)
                self._respawn_workers([index], spawn_target, target_loader)
            if self.reload_signal:
                self._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call]

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop; a worker inherits this until it listens for signals itself."""
        if multiprocessing.parent_process() is not None:
            os._exit(0)
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]


class _Readiness:
    """A pipe by which workers tell their parent that they answer requests.

    The parent does not ask them by HTTP: a worker forked while a client of TLS is at work would
    wait for ever for a lock of OpenSSL's that nobody in it holds.
    """

    end: int | None = None


def readiness() -> int:
    """Where a byte can be read once a worker, forked from now on, is ready."""
    reading, _Readiness.end = os.pipe()
    os.set_blocking(_Readiness.end, False)
    return reading


def tell_ready() -> None:
    """Tell the parent, if there is one that wants to know."""
    if _Readiness.end is not None:
        # Nobody reads on once the first has told; the pipe may be full of others.
        with suppress(BlockingIOError):
            os.write(_Readiness.end, b".")


def _nothing() -> None:
    return


def stop_once(loop: asyncio.AbstractEventLoop) -> WorkerSignal:
    """The event that ends a worker, set by the first signal alone.

    Granian's own sets it with every signal, and a second one while requests are under way can
    block the worker for good. Workers get two when a terminal or a supervisor signals all.
    """
    event = WorkerSignal()
    told = False

    def tell() -> None:
        nonlocal told
        if not _serves(loop):
            # Granian would miss the event; nothing is under way yet.
            os._exit(0)
        if not told:
            told = True
            event.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, tell)
    return event


def _serves(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether granian has come as far as waiting for the end."""
    coroutines = (task.get_coro() for task in asyncio.all_tasks(loop))
    return any(getattr(found, "__name__", "") == "_main" for found in coroutines)


# Granian looks the name up when a worker starts.
_signals.set_loop_signals = stop_once


def end_with_parent(within: float = 3.0, *, look_every: float = 0.25) -> None:
    """End this process when its parent is gone, lest it serve for ever beside the next server.

    within: seconds that requests under way are given.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(look_every)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(within)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def port_is_free(host: str, port: int, within: float = 5.0) -> bool:
    """Whether nobody listens at an address, or ceases to within some seconds.

    Workers share their port (SO_REUSEPORT), so that the system would not refuse a second server:
    it would hand some of the requests to the one, some to the other.
    """
    end = time.monotonic() + within
    told = False
    while _is_taken(host, port):
        if time.monotonic() > end:
            return False
        if not told:
            log.warning("port %d is in use; waiting for it", port)
            told = True
        time.sleep(0.1)
    return True


def _is_taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False
