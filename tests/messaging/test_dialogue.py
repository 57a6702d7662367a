"""Messages received: stored, answered, carried out, shown."""

from tests.answers import resource_of
from tests.messaging.conftest import Hospital
from tests.messaging.mllp import hl7, peer

PID = "PID|1||4711^^^HOSP^MR||Doe^John||19800101|M"


def adt(control_id: str, pid: str = PID, event: str = "A08", time: str = "20260101120000") -> bytes:
    return hl7(
        f"MSH|^~\\&|ADT|HOSP|FHIR|HOSP|{time}||ADT^{event}^ADT_A01|{control_id}|P|2.5.1",
        f"EVN|{event}|{time}",
        pid,
        "PV1|1|O",
    )


async def test_a_message_is_answered_when_what_it_says_is_stored(hospital: Hospital) -> None:
    async with peer(hospital.port) as sender:
        answer = await sender.ask(adt("A1"))
    assert answer.value("MSA-1") == "AA", answer.text
    assert answer.value("MSA-2") == "A1"
    found = resource_of(await hospital.client.get("Patient?identifier=4711"), 200)
    assert [each["resource"]["name"] for each in found["entry"]] == [
        [{"family": "Doe", "given": ["John"]}]
    ]
