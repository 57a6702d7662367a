"""From journals into the chain: whatever dies meanwhile, each event is there once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from fhir_server.audit.journal import Journal
from fhir_server.audit.keeping import Trail
from fhir_server.audit.trail import READ, Event
from fhir_server.context import Context
from fhir_server.outcome import Unavailable
from fhir_server.storage.migrate import migrate
from fhir_server.storage.store import PooledStore
from tests.conftest import fresh_database

TENANTS = ("default", "north")


@pytest.fixture
def own_database(postgres: str) -> Iterator[str]:
    """A database of the test's own with two territories."""
    with fresh_database(postgres, "keeping") as url:
        for tenant in TENANTS:
            migrate(url, tenant)
        yield url


@pytest.fixture
async def store(own_database: str) -> AsyncIterator[PooledStore]:
    found = PooledStore(own_database, size=4)
    await found.open()
    yield found
    await found.close()


def trail_of(store: PooledStore, folder: Path, *, strict: bool = False) -> Trail:
    return Trail(store, folder, lambda: TENANTS, strict=strict)


async def note(trail: Trail, id_: str, tenant: str = "default") -> None:
    await trail.note(Context(tenant=tenant), Event(READ, "read", "Patient", id_))


def journals(folder: Path) -> list[Path]:
    return list(folder.glob("default/*.journal"))


def noted(url: str, tenant: str = "default") -> list[str]:
    """The ids of what is in the chain, in its order."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(f"select id from tenant_{tenant}.audit_event order by seq")
        return [id_ for (id_,) in rows.fetchall()]


async def test_what_is_noted_is_in_the_chain_when_it_is_asked_for(
    store: PooledStore, own_database: str, tmp_path: Path
) -> None:
    trail = trail_of(store, tmp_path)
    for number in range(5):
        await note(trail, str(number))
    await trail.settle("default")
    await trail.settle("default")
    assert noted(own_database) == ["0", "1", "2", "3", "4"]
    await trail.close()
    assert journals(tmp_path) == []


async def test_territories_have_chains_of_their_own(
    store: PooledStore, own_database: str, tmp_path: Path
) -> None:
    trail = trail_of(store, tmp_path)
    for number in range(4):
        await note(trail, str(number), TENANTS[number % 2])
    await trail.close()
    assert noted(own_database, "default") == ["0", "2"]
    assert noted(own_database, "north") == ["1", "3"]


async def test_several_processes_make_one_chain(
    store: PooledStore, own_database: str, tmp_path: Path
) -> None:
    trails = [trail_of(store, tmp_path) for _ in range(3)]
    for number in range(30):
        await note(trails[number % 3], str(number))
        if number % 7 == 0:
            await asyncio.gather(*(each.settle("default") for each in trails))
    for each in trails:
        await each.close()
    assert sorted(map(int, noted(own_database))) == list(range(30))
    with psycopg.connect(own_database) as connection:
        row = connection.execute(
            "select min(seq), max(seq), count(*) from tenant_default.audit_event"
        ).fetchone()
    assert row == (1, 30, 30)


async def test_what_a_dead_process_left_is_added_by_another_one(
    store: PooledStore, own_database: str, tmp_path: Path
) -> None:
    dead = trail_of(store, tmp_path)
    await note(dead, "in the chain")
    await dead.settle("default")
    await note(dead, "left")
    # Its lock goes with it.
    for journal in dead._journals.values():
        journal.close()
    living = trail_of(store, tmp_path)
    running = asyncio.create_task(living.run())
    async with asyncio.timeout(30):
        while len(noted(own_database)) < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert noted(own_database) == ["in the chain", "left"]
    assert journals(tmp_path) == []


async def test_a_line_that_broke_is_told_and_stops_nothing(
    store: PooledStore, own_database: str, tmp_path: Path
) -> None:
    trail = trail_of(store, tmp_path)
    await note(trail, "before")
    (journal,) = trail._journals.values()
    journal.append("broken\tline")
    await note(trail, "after")
    await trail.settle("default")
    assert noted(own_database) == ["before", "", "after"]
    with psycopg.connect(own_database) as connection:
        row = connection.execute(
            "select interaction, outcome from tenant_default.audit_event where seq = 2"
        ).fetchone()
    assert row == ("journal-damaged", "12")
    await trail.close()


async def test_events_wait_for_a_database_that_does_not_answer(
    own_database: str, tmp_path: Path
) -> None:
    nowhere = PooledStore(
        "postgresql://nobody@127.0.0.1:1/x?connect_timeout=1", acquire_timeout=0.3
    )
    await nowhere.open()
    trail = trail_of(nowhere, tmp_path)
    await note(trail, "noted all the same")
    await trail.close()
    await nowhere.close()
    (journal,) = Journal.left(tmp_path / "default")
    assert b"noted all the same" in journal.lines(0, 1000)[0][0]
    journal.close()


async def test_nothing_is_served_when_nothing_can_be_noted(
    store: PooledStore, tmp_path: Path
) -> None:
    (tmp_path / "default").write_text("in the way of the folder")
    trail = trail_of(store, tmp_path)
    with pytest.raises(Unavailable, match="audit trail"):
        await note(trail, "lost")


async def test_strict_events_are_on_the_disk_before_the_answer(
    store: PooledStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    flush = Journal.flush

    def counted(journal: Journal) -> None:
        flush(journal)
        flushed.append(journal.name)

    monkeypatch.setattr(Journal, "flush", counted)
    trail = trail_of(store, tmp_path, strict=True)
    await asyncio.gather(*(note(trail, str(number)) for number in range(20)))
    (journal,) = trail._journals.values()
    assert not journal.dirty
    # Those that wait at the same time share a flush.
    assert 1 <= len(flushed) <= 3
    await trail.close()


async def test_a_journal_that_cannot_be_flushed_is_used_no_more(
    store: PooledStore, own_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = trail_of(store, tmp_path, strict=True)

    def fail(_: Journal) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(Journal, "flush", fail)
        with pytest.raises(Unavailable):
            await note(trail, "unsure")
    await note(trail, "sure")
    await trail.close()
    assert noted(own_database) == ["sure"]
