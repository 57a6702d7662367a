"""Orders, reports and patients going out, and dialogues with the systems that carry orders out."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from fhir_server.hl7v2.message import Message
from tests.answers import resource_of
from tests.messaging.conftest import Hospital
from tests.messaging.mllp import hl7, peer
from tests.messaging.receiver import acknowledged
from tests.messaging.samples import msh, number, oml, one, oru, search, timeline, until
from tests.workflow.ordering import Ward, create, encounter, order, reference

STATE = "message-state"
MRN_SYSTEM = "urn:oid:1.2.3.4"


async def ward(hospital: Hospital) -> tuple[Ward, str]:
    """A patient with a number, an encounter and a practitioner."""
    mrn = number("S")
    client = hospital.client
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "identifier": [{"system": MRN_SYSTEM, "value": mrn}],
        "name": [{"family": "Sent", "given": ["Ann"]}],
        "gender": "female",
        "birthDate": "1970-02-03",
    }
    of_patient = await reference(client, patient)
    return (
        Ward(
            of_patient,
            await reference(client, encounter(of_patient)),
            await reference(
                client,
                {"resourceType": "Practitioner", "name": [{"family": "Roe"}], "active": True},
            ),
        ),
        mrn,
    )


async def operation(hospital: Hospital, path: str, **values: str) -> dict[str, Any]:
    """Call an operation with texts."""
    parameters = [{"name": name, "valueString": text} for name, text in values.items()]
    body = {"resourceType": "Parameters", "parameter": parameters} if parameters else None
    return resource_of(await hospital.client.post(path, json=body), 200)


def now() -> str:
    """The time as v2 writes it."""
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")


def placer_of(message: Message) -> str:
    """ORC-2 as it stands."""
    orc = message.first("ORC")
    assert orc is not None
    return orc.raw(2)


async def test_imaging_order_and_ris_from_order_to_report(hospital: Hospital) -> None:
    at, mrn = await ward(hospital)
    placed = await create(hospital.client, order(at))
    sent = await hospital.ris.of(mrn)
    assert (sent.value("MSH-9.1"), sent.value("ORC-1")) == ("ORM", "NW")
    assert sent.value("PID-3.1") == mrn
    assert sent.value("OBR-18").startswith("ACC-")
    assert sent.value("OBR-24") == "RX"
    placer = placer_of(sent)

    def status(code: str) -> bytes:
        return hl7(
            msh("ORM^O01^ORM_O01", number("RIS"), sender="RIS"),
            f"PID|1||{mrn}^^^&1.2.3.4&ISO||Sent^Ann",
            f"ORC|SC|{placer}|R1^RIS||{code}",
            f"OBR|1|{placer}|R1^RIS|^Chest, two views|||{now()}|{now()}",
            f"TQ1|1||||||{now()}",
        )

    report = hl7(
        msh("ORU^R01^ORU_R01", number("RIS"), sender="RIS"),
        f"PID|1||{mrn}^^^&1.2.3.4&ISO||Sent^Ann",
        f"ORC|RE|{placer}|R1^RIS",
        f"OBR|1|{placer}|R1^RIS|71046-0^Chest, two views^LN|||20260102100000|||||||||||||||"
        "20260102113000||RAD|F",
        "OBX|1|TX|18782-3^Findings^LN||Lungs are clear, no effusion is seen||||||F",
        "OBX|2|TX|19005-8^Impression^LN||No acute cardiopulmonary disease||||||F",
    )
    async with peer(hospital.port) as ris:
        for content in (status("SC"), status("IP"), status("CM"), report):
            answer = await ris.ask(content)
            assert answer.value("MSA-1") == "AA", answer.text
    final = await one(
        hospital.client, f"DiagnosticReport?based-on=ServiceRequest/{placed['id']}&status=final"
    )
    assert "No acute cardiopulmonary disease" in final["conclusion"]
    assert {"system": "urn:x-hl7v2:HOSP:RIS", "value": "R1"}.items() <= next(
        each for each in final["identifier"] if each.get("value") == "R1"
    ).items()
    told = await timeline(hospital.client, placed["id"])
    steps = [what for kind, what in told if kind == "step"]
    # The number that the RIS gave the order is a change of it.
    assert sorted(steps) == ["change", "complete", "create", "report", "schedule", "start"]
    assert [what for kind, what in told if kind == "message"].count("ORM^O01") == 4
    assert ("message", "ORU^R01") in told
    # What the RIS said itself is not sent back to it; who wants reports gets the report.
    assert mrn not in {each.value("PID-3.1") for each in hospital.ris.waiting}
    await hospital.emr.of(mrn, "ORU")


async def test_laboratory_order_results_and_their_correction(hospital: Hospital) -> None:
    at, mrn = await ward(hospital)
    placed = await create(hospital.client, order(at, "laboratory"))
    sent = await hospital.lab.of(mrn)
    assert (sent.value("MSH-9.1"), sent.value("MSH-9.3")) == ("OML", "OML_O21")
    assert sent.value("OBR-4.1") == "CBC"
    placer = placer_of(sent)

    def results(value: str, status: str, issued: str) -> bytes:
        return oru(mrn, placer, value, status, issued).replace(
            f"{mrn}^^^HOSP^MR".encode(), f"{mrn}^^^&1.2.3.4&ISO".encode()
        )

    async with peer(hospital.port) as lab:
        for value, status, issued in (
            ("13.5", "F", "20260102113000"),
            ("11.5", "C", "20260102123000"),
        ):
            answer = await lab.ask(results(value, status, issued))
            assert answer.value("MSA-1") == "AA", answer.text
            out = await hospital.emr.of(mrn, "ORU")
            assert (out.value("OBR-25"), out.value("OBX-11")) == (status, status)
            values = {each.value(3): each.value(5) for each in out.all("OBX")}
            assert values["718-7"] == value
    report = await one(hospital.client, f"DiagnosticReport?based-on=ServiceRequest/{placed['id']}")
    assert report["status"] == "corrected"
    assert len(report["result"]) == 1
    observation = resource_of(await hospital.client.get(report["result"][0]["reference"]), 200)
    assert str(observation["valueQuantity"]["value"]) == "11.5"
    assert observation["status"] == "corrected"
    assert observation["meta"]["versionId"] == "2"


async def test_cancellation_hold_and_change_go_out_in_order(hospital: Hospital) -> None:
    at, mrn = await ward(hospital)
    placed = await create(hospital.client, order(at))
    path = f"ServiceRequest/{placed['id']}"
    await operation(hospital, f"{path}/$hold")
    await operation(hospital, f"{path}/$resume")
    changed = resource_of(await hospital.client.get(path), 200) | {"priority": "stat"}
    resource_of(await hospital.client.put(path, json=changed), 200)
    await operation(hospital, f"{path}/$cancel", reason="The patient has left the house")
    messages = [await hospital.ris.of(mrn) for _ in range(5)]
    assert [each.value("ORC-1") for each in messages] == ["NW", "HD", "RL", "XO", "CA"]
    assert messages[3].value("OBR-27.6") == "S"
    assert "left the house" in messages[4].value("ORC-16.2")


async def test_patients_go_out_when_they_change(hospital: Hospital) -> None:
    at, mrn = await ward(hospital)
    path = at.patient
    patient = resource_of(await hospital.client.get(path), 200) | {"birthDate": "1971-02-03"}
    resource_of(await hospital.client.put(path, json=patient), 200)
    found: list[tuple[str, str]] = []
    while len(found) < 2:
        message = await hospital.emr.of(mrn)
        found.append((message.value("MSH-9.2"), message.value("PID-7")))
    assert found == [("A28", "19700203"), ("A31", "19710203")]


async def test_a_refused_message_is_parked_and_replayed(hospital: Hospital) -> None:
    hospital.lab.script = lambda message: acknowledged(message, "AE", "no such test")
    at, mrn = await ward(hospital)
    placed = await create(hospital.client, order(at, "laboratory"))
    first = await hospital.lab.of(mrn)
    query = f"Communication?{STATE}=failed&based-on=ServiceRequest/{placed['id']}"
    await until(hospital.client, query)
    record = await one(hospital.client, query)
    assert record["statusReason"]["text"] == "AE no such test"
    hospital.lab.script = acknowledged
    resource_of(await hospital.client.post(f"Communication/{record['id']}/$replay"), 200)
    again = await hospital.lab.of(mrn)
    assert again.value("MSH-10") == first.value("MSH-10")
    await until(
        hospital.client, f"Communication?{STATE}=sent&based-on=ServiceRequest/{placed['id']}"
    )


async def test_a_message_without_an_answer_is_sent_again_and_those_behind_it_wait(
    hospital: Hospital,
) -> None:
    silent = asyncio.Event()

    def script(message: Message) -> bytes | None:
        if not silent.is_set():
            silent.set()
            return None
        return acknowledged(message)

    hospital.ris.script = script
    at, mrn = await ward(hospital)
    await create(hospital.client, order(at))
    await create(hospital.client, order(at))
    one_, again, other = [await hospital.ris.of(mrn) for _ in range(3)]
    assert one_.value("MSH-10") == again.value("MSH-10") != other.value("MSH-10")
    hospital.ris.script = acknowledged


async def test_an_answer_to_another_message_is_not_taken_for_the_answer(
    hospital: Hospital,
) -> None:
    def script(message: Message) -> bytes:
        stray = acknowledged(message).replace(message.value("MSH-10").encode(), b"OTHER")
        return stray + b"\x1c\r\x0b" + acknowledged(message)

    hospital.ris.script = script
    at, mrn = await ward(hospital)
    placed = await create(hospital.client, order(at))
    await hospital.ris.of(mrn)
    await until(
        hospital.client, f"Communication?{STATE}=sent&based-on=ServiceRequest/{placed['id']}"
    )
    hospital.ris.script = acknowledged


async def test_an_order_of_a_system_is_not_sent_back_to_it(hospital: Hospital) -> None:
    mrn, placer = number("S"), number("P")
    async with peer(hospital.port) as lab:
        answer = await lab.ask(oml(mrn, placer, sender="LAB"))
    assert answer.value("MSA-1") == "AA", answer.text
    placed = await one(hospital.client, f"ServiceRequest?identifier={placer}")
    await asyncio.sleep(0.6)
    found = await search(
        hospital.client, f"Communication?based-on=ServiceRequest/{placed['id']}&category=outgoing"
    )
    assert found == []
