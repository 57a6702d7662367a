"""Slow, careless and hostile peers."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.hl7v2.framing import framed
from fhir_server.messaging.connection import Budget
from fhir_server.messaging.settings import MessagingError, read_messaging
from tests.messaging.certificates import self_signed
from tests.messaging.conftest import Hospital
from tests.messaging.mllp import hl7, peer
from tests.messaging.samples import adt, msh, number


async def test_a_message_that_comes_byte_by_byte_is_whole(hospital: Hospital) -> None:
    async with peer(hospital.port) as sender:
        for byte in framed(adt(number("M"), control_id="SLOW")):
            sender.writer.write(bytes([byte]))
            await sender.writer.drain()
        assert b"SLOW" in await sender.answer()


async def test_a_frame_without_its_last_byte_is_answered(hospital: Hospital) -> None:
    async with peer(hospital.port) as sender:
        sender.writer.write(framed(adt(number("M")))[:-1])
        assert b"MSA|AA" in await sender.answer()


async def test_a_frame_that_does_not_come_whole_ends_the_connection(hospital: Hospital) -> None:
    async with peer(hospital.ports["strict"]) as sender:
        sender.writer.write(b"\x0bMSH|^~\\&|")
        assert await sender.is_over(within=15)


async def test_a_peer_that_trickles_a_frame_for_too_long_is_left(hospital: Hospital) -> None:
    async with peer(hospital.ports["strict"]) as sender:
        sender.writer.write(b"\x0bMSH|^~\\&|")
        over = asyncio.create_task(sender.is_over(within=15))
        for _ in range(40):
            if over.done():
                break
            sender.writer.write(b"x")
            await asyncio.sleep(0.1)
        assert over.done()
        assert await over


async def test_a_silent_connection_is_closed(hospital: Hospital) -> None:
    async with peer(hospital.ports["strict"]) as sender:
        assert await sender.is_over(within=15)


async def test_a_frame_that_is_too_large_is_refused_and_the_next_one_taken(
    hospital: Hospital,
) -> None:
    large = hl7(msh("ADT^A08^ADT_A01", "LARGE"), "NTE|1||" + "x" * 4000)
    async with peer(hospital.ports["strict"]) as sender:
        answer = await sender.ask(large)
        assert (answer.value("MSA-1"), answer.value("MSA-2")) == ("AR", "LARGE")
        assert "at most 2048" in answer.value("MSA-3")
        assert (await sender.ask(adt(number("M")))).value("MSA-1") == "AA"


async def test_more_connections_than_allowed_are_closed_at_once(hospital: Hospital) -> None:
    port = hospital.ports["strict"]
    async with peer(port) as first, peer(port) as second:
        for each in (first, second):
            await each.ask(adt(number("M")))
        async with peer(port) as third:
            assert await third.is_over(within=15)


async def test_only_networks_that_are_allowed_may_connect(hospital: Hospital) -> None:
    async with peer(hospital.ports["closed"]) as sender:
        assert await sender.is_over(within=15)


async def test_a_peer_that_leaves_amid_a_frame_stops_nobody(hospital: Hospital) -> None:
    async with peer(hospital.port) as leaving:
        leaving.writer.write(framed(adt(number("M")))[:100])
        await leaving.writer.drain()
    async with peer(hospital.port) as sender:
        assert (await sender.ask(adt(number("M")))).value("MSA-1") == "AA"


async def test_a_message_is_carried_out_though_its_sender_leaves_before_the_answer(
    hospital: Hospital,
) -> None:
    content = adt(number("M"), control_id="GONE")
    async with peer(hospital.port) as leaving:
        await leaving.send(content)
        await asyncio.sleep(0.05)
    async with peer(hospital.port) as sender:
        assert (await sender.ask(content)).value("MSA-1") == "AA"


_BASE = adt("FUZZ", control_id="FUZZ")
_BYTES = st.integers(0, 255).filter(lambda byte: byte not in (0x0B, 0x1C))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, len(_BASE) - 1), _BYTES), min_size=1, max_size=6))
async def test_whatever_a_frame_holds_nobody_waits_for_ever(
    hospital: Hospital, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(_BASE)
    for at, byte in changes:
        content[at] = byte
    async with peer(hospital.port) as sender:
        await sender.send(bytes(content))
        with suppress(TimeoutError):  # It may have come to say that no answer is wanted.
            assert b"MSA" in await sender.answer(within=1)
    async with peer(hospital.port) as sender:
        assert (await sender.ask(adt(number("M")))).value("MSA-1") == "AA"


def test_a_budget_is_never_exceeded() -> None:
    budget = Budget(10)
    assert budget.take(6)
    assert not budget.take(5)
    budget.give_back(6)
    assert budget.take(10)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("listeners: [{name: a, port: 2575}, {name: a, port: 2576}]", "two of the same name"),
        ("listeners: [{name: a, port: 2575}, {name: b, port: 2575}]", "two listeners on port"),
        ("listeners: [{name: a}]", "listeners.0.port"),
        ("listeners: [{name: a, port: 2575, colour: red}]", "listeners.0.colour"),
        ("listeners: [{name: a, port: 2575, allow: [nowhere]}]", "listeners.0.allow"),
        ("destinations: [{name: a, host: h, port: 1}]", "destinations.0.application"),
        ("- 1", "expected listeners"),
        ("listeners: [", "hl7v2.yaml"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "hl7v2.yaml"
    path.write_text(text)
    with pytest.raises(MessagingError, match=told):
        read_messaging(path, None, "127.0.0.1")


def test_a_port_is_a_listener_of_its_own() -> None:
    found = read_messaging(None, 2575, "127.0.0.1")
    assert [(each.host, each.port) for each in found.listeners] == [("127.0.0.1", 2575)]
    assert read_messaging(None, None, "127.0.0.1").listeners == ()


async def _greet(port: int, context: ssl.SSLContext) -> None:
    """Raises ssl.SSLError or ConnectionError where the other side does not accept us."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(b"x")
        if not await reader.read():
            raise ConnectionError
    finally:
        writer.close()


async def test_a_client_certificate_is_demanded_where_an_authority_is_named(tmp_path: Path) -> None:
    mine, theirs = self_signed(tmp_path, "server"), self_signed(tmp_path, "client")
    context = mine.model_copy(update={"client_ca": theirs.certificate}).context()
    subjects = []

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subjects.append(writer.get_extra_info("peercert")["subject"])
        writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    client = ssl.create_default_context(cafile=str(mine.certificate))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await _greet(port, client)
    client.load_cert_chain(theirs.certificate, theirs.key)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    assert await reader.read() == b""
    writer.close()
    server.close()
    assert subjects == [((("commonName", "client"),),)]
