"""What `kill -9` does to the server, a worker or PostgreSQL while clients write."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.conftest import RunningServer, running_server
from tests.process.conftest import postmaster
from tests.process.writers import Writers

_ENOUGH = 60


def _workers(server: RunningServer) -> list[psutil.Process]:
    return list(psutil.Process(server.process.pid).children())


def _one_worker(server: RunningServer, _: Path) -> list[int]:
    return [_workers(server)[0].pid]


def _all_workers(server: RunningServer, _: Path) -> list[int]:
    return [worker.pid for worker in _workers(server)]


def _postgres(_: RunningServer, directory: Path) -> list[int]:
    return [postmaster(directory)]


def _backend(_: RunningServer, directory: Path) -> list[int]:
    processes = psutil.Process(postmaster(directory)).children()
    return [found.pid for found in processes if "[local]" in " ".join(found.cmdline())][:1]


def _server(server: RunningServer, _: Path) -> list[int]:
    return [server.process.pid, *(worker.pid for worker in _workers(server))]


def _main_process(server: RunningServer, _: Path) -> list[int]:
    return [server.process.pid]


def _server_and_postgres(server: RunningServer, directory: Path) -> list[int]:
    database = psutil.Process(postmaster(directory))
    return _server(server, directory) + [
        found.pid for found in [database, *database.children(recursive=True)]
    ]


def _serves(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


async def _end(processes: list[psutil.Process]) -> None:
    async with asyncio.timeout(60):
        while any(map(_serves, processes)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


Victims = Callable[[RunningServer, Path], list[int]]


def _kill(processes: list[int]) -> None:
    assert processes
    for process in processes:
        os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("victims", [_one_worker, _all_workers, _postgres, _backend])
async def test_server_answers_again_by_itself_and_has_lost_nothing(
    directory: Path, victims: Victims
) -> None:
    with running_server(directory) as server:
        writers = Writers(server.base_url)
        async with writers.at_work():
            await writers.wait_for(_ENOUGH)
            struck = [psutil.Process(each) for each in victims(server, directory)]
            _kill([each.pid for each in struck])
            await writers.wait_for(_ENOUGH)
        # Clients need not notice: an idle connection whose server is gone is not used again.
        assert not any(map(_serves, struck)), "the kill struck nobody"
        assert set(writers.refused) <= {503}
        await writers.check(server.base_url)


async def test_worker_killed_again_as_soon_as_it_is_replaced_is_replaced_again(
    directory: Path,
) -> None:
    with running_server(directory) as server:
        writers = Writers(server.base_url)
        async with writers.at_work():
            for _ in range(3):
                await writers.wait_for(10)
                _kill(_all_workers(server, directory))
            await writers.wait_for(10)
        await writers.check(server.base_url)


@pytest.mark.parametrize("victims", [_server, _main_process, _server_and_postgres])
async def test_next_start_has_all_that_was_acknowledged(directory: Path, victims: Victims) -> None:
    with running_server(directory) as server:
        workers = _workers(server)
        writers = Writers(server.base_url)
        async with writers.at_work():
            await writers.wait_for(_ENOUGH)
            _kill(victims(server, directory))
            server.process.wait(30)
    port = int(server.root.rpartition(":")[2])
    with running_server(directory, port=port) as again:
        await _end(workers)
        again.wait_until_ready()
        await writers.check(again.base_url)
        async with writers.at_work():
            await writers.wait_for(_ENOUGH)
        await writers.check(again.base_url)
