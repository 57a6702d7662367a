"""Studies of an archive: due, held, settled, and due again when something came meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest

from fhir_server.storage import archive
from fhir_server.storage.archive import GONE, LINKED, UNMATCHED, KnownStudy, Outcome
from fhir_server.storage.numbers import Claim, claim
from fhir_server.storage.store import Connection

TENANT, NAME = "default", "orthanc"
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
LEASE = timedelta(seconds=60)


@pytest.fixture(autouse=True)
async def without_studies(connection: Connection) -> None:
    """Empty tables."""
    await connection.execute("truncate tenant_default.archive, tenant_default.archive_study")


async def take(connection: Connection, at: datetime = NOW) -> KnownStudy | None:
    """The next study that is due."""
    return await archive.claim_study(connection, TENANT, NAME, at, LEASE)


def outcome(state: str, **more: tuple[str, ...]) -> Outcome:
    return Outcome(state, "1.2.3", "stamp", more.get("accessions", ()), more.get("candidates", ()))


async def test_many_marks_are_one_study_to_look_at(connection: Connection) -> None:
    for _ in range(3):
        await archive.mark(connection, TENANT, NAME, ["a"], NOW)
    found = await take(connection)
    assert found is not None
    assert (found.id, found.state, found.attempts) == ("a", "new", 1)
    assert await take(connection) is None


async def test_a_study_whose_worker_died_is_due_again(connection: Connection) -> None:
    await archive.mark(connection, TENANT, NAME, ["a"], NOW)
    await take(connection)
    assert await take(connection, NOW + LEASE - timedelta(seconds=1)) is None
    again = await take(connection, NOW + LEASE)
    assert again is not None
    assert again.attempts == 2


async def test_what_comes_while_a_study_is_looked_at_is_looked_at_too(
    connection: Connection,
) -> None:
    await archive.mark(connection, TENANT, NAME, ["a"], NOW)
    found = await take(connection)
    assert found is not None
    await archive.mark(connection, TENANT, NAME, ["a"], NOW + timedelta(seconds=1))
    await archive.settle(connection, TENANT, NAME, found, outcome(LINKED))
    again = await take(connection, NOW + timedelta(seconds=2))
    assert again is not None
    assert (again.state, again.stamp) == (LINKED, "stamp")
    await archive.settle(connection, TENANT, NAME, again, outcome(LINKED))
    assert await take(connection, NOW + timedelta(days=1)) is None


async def test_a_study_is_matched_again_for_an_order_it_was_not_compared_with(
    connection: Connection,
) -> None:
    await archive.mark(connection, TENANT, NAME, ["a", "b"], NOW)
    for _ in range(2):
        found = await take(connection)
        assert found is not None
        numbers = ("N1",) if found.id == "a" else ("N2",)
        await archive.settle(
            connection, TENANT, NAME, found, outcome(UNMATCHED, accessions=numbers)
        )
    assert await archive.mark_open(connection, TENANT, NAME, NOW) == 0
    await claim(connection, TENANT, [Claim("urn:x", "N1", "ServiceRequest/1")])
    assert await archive.mark_open(connection, TENANT, NAME, NOW) == 1
    found = await take(connection)
    assert found is not None
    assert found.id == "a"
    compared = outcome(UNMATCHED, accessions=("N1",), candidates=("ServiceRequest/1",))
    await archive.settle(connection, TENANT, NAME, found, compared)
    assert await archive.mark_open(connection, TENANT, NAME, NOW) == 0


async def test_one_process_looks_at_a_time(connection: Connection) -> None:
    every = timedelta(seconds=5)
    first = await archive.take_look(connection, TENANT, NAME, NOW, every)
    assert first is not None
    assert (first.position, first.compare, first.failed) == (0, True, False)
    assert await archive.take_look(connection, TENANT, NAME, NOW, every) is None
    await archive.moved(connection, TENANT, NAME, 7)
    later = NOW + timedelta(hours=1)
    await archive.answered(connection, TENANT, NAME, NOW, "away", later)
    second = await archive.take_look(connection, TENANT, NAME, NOW + every, every)
    assert second is not None
    assert (second.position, second.compare, second.failed) == (7, False, True)
    await archive.hasten(connection, TENANT, NAME, NOW + every)
    third = await archive.take_look(connection, TENANT, NAME, NOW + every, every)
    assert third is not None
    assert third.compare


async def test_a_study_that_is_being_deleted_is_not_looked_at(connection: Connection) -> None:
    await archive.mark(connection, TENANT, NAME, ["a"], NOW)
    found = await take(connection)
    assert found is not None
    await archive.settle(connection, TENANT, NAME, found, outcome(LINKED))
    (there,) = await archive.under(connection, TENANT, "1.2.3")
    await archive.mark_deleting(connection, TENANT, "1.2.3", [there.id])
    assert await archive.is_deleting(connection, TENANT, NAME, "a")
    await archive.mark_under(connection, TENANT, "1.2.3", NOW)
    assert await take(connection) is None
    await archive.mark_deleted(connection, TENANT, NAME, ["a"], NOW)
    assert await archive.under(connection, TENANT, "1.2.3") == []
    assert (await archive.known(connection, TENANT, NAME))["a"].state == GONE


async def test_failures_are_tried_ever_later_and_never_given_up(connection: Connection) -> None:
    waits = [archive.later(NOW, attempts) - NOW for attempts in (1, 2, 3, 100)]
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(seconds=600)
    assert (await archive.health(connection, TENANT, NAME)) is None


async def test_what_failed_is_looked_at_as_soon_as_the_archive_is_back(
    connection: Connection,
) -> None:
    await archive.mark(connection, TENANT, NAME, ["a", "b"], NOW)
    for problem in ("away", None):
        found = await take(connection)
        assert found is not None
        again = NOW + timedelta(hours=1)
        await archive.put_off(connection, TENANT, NAME, found, again, problem)
    await archive.retry(connection, TENANT, NAME, NOW)
    first = await take(connection)
    assert first is not None
    assert first.attempts == 1
    assert await take(connection) is None


async def test_studies_under_one_uid_are_known_as_such_at_once(connection: Connection) -> None:
    await archive.mark(connection, TENANT, NAME, ["a", "b"], NOW)
    found = await take(connection)
    assert found is not None
    await archive.settle(connection, TENANT, NAME, found, outcome(LINKED))
    await archive.name_under(connection, TENANT, NAME, "1.2.3", ["a", "b", "c"])
    under = await archive.under(connection, TENANT, "1.2.3")
    assert [(each.id, each.state) for each in under] == [
        ("a", LINKED), ("b", "conflict"), ("c", "conflict"),
    ]  # fmt: skip
    assert await take(connection) is not None
