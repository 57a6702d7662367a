"""Bodies that take their time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fhir_server.http.body import steady
from fhir_server.outcome import Refusal


async def pieces(*pauses: float) -> AsyncIterator[bytes]:
    for number, pause in enumerate(pauses):
        await asyncio.sleep(pause)
        yield b"%d" % number


async def test_a_body_that_goes_on_is_read_to_its_end() -> None:
    read = [piece async for piece in steady(pieces(0, 0.01, 0, 0.01), within=5)]
    assert read == [b"0", b"1", b"2", b"3"]


async def test_a_body_that_stands_still_is_given_up() -> None:
    body = steady(pieces(0, 60), within=0.05)
    assert await anext(body) == b"0"
    with pytest.raises(Refusal) as caught:
        await anext(body)
    assert caught.value.status == 408
    assert caught.value.issues[0].code == "timeout"
    assert caught.value.headers == {"Connection": "close"}
