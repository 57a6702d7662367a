"""What the health page tells of messages."""

import asyncio

from tests.messaging.conftest import Hospital
from tests.messaging.mllp import peer
from tests.messaging.samples import number, oml


async def health(hospital: Hospital) -> dict[str, str | int]:
    """What the page tells."""
    found: dict[str, str | int] = (await hospital.client.get("http://test/health/ready")).json()
    return found


async def test_health_counts_what_waits_and_what_is_parked(hospital: Hospital) -> None:
    async with peer(hospital.port) as sender:
        await sender.ask(oml(number("M"), number("P"), "XO"))
    async with asyncio.timeout(30):
        # What other tests left behind is carried out soon.
        while (found := await health(hospital))["hl7v2-waiting"] != 0:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert int(found["hl7v2-parked"]) >= 1
    assert {"hl7v2-ris-waiting", "hl7v2-ris-parked", "hl7v2-emr-waiting"} <= found.keys()
