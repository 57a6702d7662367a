"""Messages received: stored, answered, carried out in order, and shown."""

import base64

from fhir_server.hl7v2.framing import framed
from fhir_server.hl7v2.message import parse
from tests.answers import refusal_of, resource_of
from tests.messaging.conftest import Hospital
from tests.messaging.mllp import hl7, peer
from tests.messaging.samples import adt, msh, number, oml, one, oru, until

STATE = "message-state"


async def test_a_message_is_answered_when_what_it_says_is_stored(hospital: Hospital) -> None:
    mrn = number("M")
    async with peer(hospital.port) as sender:
        answer = await sender.ask(adt(mrn, control_id="A1"))
    assert (answer.value("MSA-1"), answer.value("MSA-2")) == ("AA", "A1")
    assert answer.value("MSH-5") == "HIS"
    patient = await one(hospital.client, f"Patient?identifier={mrn}")
    assert patient["name"] == [{"family": "Doe", "given": ["John"]}]


async def test_the_record_of_a_message_is_found_and_shows_all_of_it(hospital: Hospital) -> None:
    mrn = number("M")
    control_id = number("REC")
    content = adt(mrn, control_id=control_id)
    async with peer(hospital.port) as sender:
        answer = await sender.ask(content)
    patient = await one(hospital.client, f"Patient?identifier={mrn}")
    for query in (
        f"identifier={control_id}",
        f"message-type=ADT^A08&identifier={control_id}",
        f"message-sender=HIS|HOSP&identifier={control_id}".replace("|", "%5C%7C"),
        f"{STATE}=done&patient=Patient/{patient['id']}",
    ):
        record = await one(hospital.client, f"Communication?{query}")
    shown = resource_of(
        await hospital.client.get(f"Communication/{record['id']}/$hl7v2-message"), 200
    )
    parts = {each["name"]: each for each in shown["parameter"]}
    assert base64.b64decode(parts["raw"]["valueBase64Binary"]) == content
    assert parse(parts["acknowledgement"]["valueString"].encode()).text == answer.text.replace(
        "\r", "\n"
    )
    assert parts["mapped"]["resource"]["entry"][0]["resource"]["resourceType"] == "Patient"
    made = [e["valueReference"]["reference"] for e in shown["parameter"] if e["name"] == "produced"]
    assert f"Patient/{patient['id']}/_history/1" in made
    provenance = await one(hospital.client, f"Provenance?target=Patient/{patient['id']}")
    cause = provenance["entity"][0]["what"]["reference"]
    assert cause == f"Communication/{record['id']}"


async def test_the_very_same_message_is_answered_as_before_and_not_carried_out_again(
    hospital: Hospital,
) -> None:
    mrn = number("M")
    first = adt(mrn)
    async with peer(hospital.port) as sender:
        answer = await sender.ask(first)
        await sender.ask(adt(mrn, "Changed"))
        await sender.send(first)
        again = await sender.answer()
    assert again == answer.encode()
    patient = await one(hospital.client, f"Patient?identifier={mrn}")
    assert patient["name"][0]["family"] == "Changed"


async def test_a_control_id_used_for_another_message_is_carried_out_with_a_warning(
    hospital: Hospital,
) -> None:
    mrn, control_id = number("M"), number("TWICE")
    async with peer(hospital.port) as sender:
        await sender.ask(adt(mrn, control_id=control_id))
        answer = await sender.ask(adt(mrn, "Other", control_id=control_id))
    assert answer.value("MSA-1") == "AA"
    assert answer.value("ERR-3.1") == "205"
    assert answer.value("ERR-4") == "W"
    patient = await one(hospital.client, f"Patient?identifier={mrn}")
    assert patient["name"][0]["family"] == "Other"


async def test_what_cannot_be_carried_out_is_parked_with_its_reason(hospital: Hospital) -> None:
    control_id = number("BAD")
    async with peer(hospital.port) as sender:
        answer = await sender.ask(oml(number("M"), number("P"), "XO", control_id=control_id))
    assert answer.value("MSA-1") == "AE"
    assert answer.value("ERR-3.1") == "204"
    record = await one(hospital.client, f"Communication?{STATE}=error&identifier={control_id}")
    assert "There is no order" in record["statusReason"]["text"]
    assert record["status"] == "on-hold"


async def test_a_parked_message_is_replayed_once_its_reason_is_gone(hospital: Hospital) -> None:
    mrn, placer, control_id = number("M"), number("P"), number("XO")
    async with peer(hospital.port) as sender:
        assert (await sender.ask(oml(mrn, placer, "XO", control_id=control_id))).value(
            "MSA-1"
        ) == "AE"
        assert (await sender.ask(oml(mrn, placer))).value("MSA-1") == "AA"
    record = await one(hospital.client, f"Communication?identifier={control_id}")
    answer = await hospital.client.post(f"Communication/{record['id']}/$replay")
    assert resource_of(answer, 200)["parameter"][0]["valueReference"] == {
        "reference": f"Communication/{record['id']}"
    }
    await until(hospital.client, f"Communication?{STATE}=done&identifier={control_id}")


async def test_all_parked_messages_of_a_sender_are_replayed(hospital: Hospital) -> None:
    mrn, placer, sender_name = number("M"), number("P"), number("APP")
    async with peer(hospital.port) as sender:
        for _ in range(2):
            await sender.ask(oml(mrn, placer, "XO", sender=sender_name))
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "state", "valueCode": "error"},
            {"name": "sender", "valueString": f"{sender_name}|HOSP"},
        ],
    }
    answer = resource_of(await hospital.client.post("Communication/$replay", json=body), 200)
    assert len(answer["parameter"]) == 2


async def test_replay_of_what_is_no_message_is_refused(hospital: Hospital) -> None:
    answer = await hospital.client.post("Communication/nothing/$replay")
    assert "no HL7 v2 message" in refusal_of(answer, 404, "not-found")


async def test_enhanced_mode_accepts_at_once_and_tells_the_outcome_later(
    hospital: Hospital,
) -> None:
    mrn, control_id = number("M"), number("ENH")
    async with peer(hospital.port) as sender:
        accept = await sender.ask(adt(mrn, control_id=control_id, modes="AL|AL"))
        outcome = parse(await sender.answer())
    assert (accept.value("MSA-1"), accept.value("MSA-2")) == ("CA", control_id)
    assert (outcome.value("MSA-1"), outcome.value("MSA-2")) == ("AA", control_id)
    assert outcome.value("MSH-10") not in ("", accept.value("MSH-10"))
    assert (outcome.value("MSH-15"), outcome.value("MSH-16")) == ("NE", "NE")


async def test_enhanced_mode_tells_only_what_the_sender_wants(hospital: Hospital) -> None:
    async with peer(hospital.port) as sender:
        await sender.send(adt(number("M"), modes="NE|NE"))
        await sender.send(adt(number("M"), modes="NE|ER"))
        await sender.send(oml(number("M"), number("P"), "XO", modes="NE|ER", control_id="WRONG"))
        outcome = parse(await sender.answer())
    assert (outcome.value("MSA-1"), outcome.value("MSA-2")) == ("AE", "WRONG")


async def test_messages_of_a_sender_are_carried_out_in_order_over_all_its_connections(
    hospital: Hospital,
) -> None:
    mrn, sender_name = number("M"), number("ORDERLY")
    names = [f"Name{each}" for each in range(20)]
    async with peer(hospital.port) as one_way, peer(hospital.port) as other_way:
        for at, family in enumerate(names):
            way = one_way if at % 2 else other_way
            await way.ask(adt(mrn, family, sender=sender_name, modes="AL|NE"))
    await until(
        hospital.client, f"Patient?identifier={mrn}&family={names[-1]}&_elements=name", within=20
    )
    patient = await one(hospital.client, f"Patient?identifier={mrn}")
    history = resource_of(await hospital.client.get(f"Patient/{patient['id']}/_history"), 200)
    told = [each["resource"]["name"][0]["family"] for each in history["entry"]]
    assert told == list(reversed(names))


async def test_several_frames_sent_without_waiting_are_answered_in_order(
    hospital: Hospital,
) -> None:
    ids = [number("PIPE") for _ in range(5)]
    async with peer(hospital.port) as sender:
        sender.writer.write(b"".join(framed(adt(number("M"), control_id=each)) for each in ids))
        told = [parse(await sender.answer()).value("MSA-2") for _ in ids]
    assert told == ids


async def test_a_batch_is_answered_by_a_batch(hospital: Hospital) -> None:
    batch = hl7("BHS|^~\\&|HIS") + adt(number("M")) + adt(number("M")) + hl7("BTS|2")
    async with peer(hospital.port) as sender:
        await sender.send(batch)
        answer = await sender.answer()
    names = [line[:3] for line in answer.decode().split("\r") if line]
    assert names == ["BHS", "MSH", "MSA", "MSH", "MSA", "BTS"]


async def test_what_is_no_message_is_kept_and_answered(hospital: Hospital) -> None:
    async with peer(hospital.port) as sender:
        answer = await sender.ask(b"this is no message \x00\xff")
    assert answer.value("MSA-1") == "AR"
    assert answer.value("MSA-2") == ""


async def test_messages_without_rules_are_refused_or_ignored_as_the_listener_says(
    hospital: Hospital,
) -> None:
    control_id = number("DFT")
    for name, code, state in (("plain", "AR", "error"), ("ignoring", "AA", "ignored")):
        content = hl7(msh("DFT^P03", control_id + name), "EVN|P03", "FT1|1")
        async with peer(hospital.ports[name]) as sender:
            answer = await sender.ask(content)
        assert answer.value("MSA-1") == code
        assert answer.value("ERR-3.1") == "200"
        await one(hospital.client, f"Communication?{STATE}={state}&identifier={control_id}{name}")


async def test_a_message_with_another_processing_id_is_refused(hospital: Hospital) -> None:
    async with peer(hospital.ports["production"]) as sender:
        answer = await sender.ask(adt(number("M"), processing_id="T"))
        assert (answer.value("MSA-1"), answer.value("ERR-3.1")) == ("AR", "202")
        assert (await sender.ask(adt(number("M")))).value("MSA-1") == "AA"


async def test_release_2_says_first_that_the_frame_is_safe(hospital: Hospital) -> None:
    async with peer(hospital.ports["release2"]) as sender:
        await sender.send(adt(number("M")))
        assert await sender.answer() == b"\x06"
        assert parse(await sender.answer()).value("MSA-1") == "AA"


async def test_an_acknowledgement_is_not_acknowledged(hospital: Hospital) -> None:
    async with peer(hospital.port) as sender:
        await sender.send(hl7(msh("ACK", "ACK1"), "MSA|AA|X1"))
        await sender.send(hl7(msh("ACK", "ACK2"), "MSA|CA|X1"))
        answer = await sender.ask(adt(number("M"), control_id="AFTER"))
    assert answer.value("MSA-2") == "AFTER"


async def test_orders_are_answered_one_by_one_where_the_listener_says_so(
    hospital: Hospital,
) -> None:
    mrn, placer = number("M"), number("P")
    async with peer(hospital.ports["orders"]) as sender:
        answer = await sender.ask(oml(mrn, placer))
        assert answer.value("MSH-9.1") == "ORL"
        assert answer.value("MSA-1") == "AA"
        assert (answer.value("ORC-1"), answer.value("ORC-2.1")) == ("OK", placer)
        order = await one(hospital.client, f"ServiceRequest?identifier={placer}")
        given = {each["value"] for each in order["identifier"]}
        assert answer.value("ORC-3.1") in given
        refused = await sender.ask(oml(mrn, number("P"), "XO"))
        assert (refused.value("MSA-1"), refused.value("ORC-1")) == ("AE", "UX")


async def test_an_older_result_does_not_replace_a_newer_one(hospital: Hospital) -> None:
    mrn, placer = number("M"), f"{number('P')}^ELSEWHERE"
    async with peer(hospital.port) as sender:
        await sender.ask(oru(mrn, placer, "14.0", issued="20260102120000"))
        answer = await sender.ask(oru(mrn, placer, "13.0", issued="20260102110000"))
    assert answer.value("MSA-1") == "AA"
    assert answer.value("ERR-4") == "W"
    patient = await one(hospital.client, f"Patient?identifier={mrn}")
    report = await one(hospital.client, f"DiagnosticReport?patient=Patient/{patient['id']}")
    assert report["issued"].startswith("2026-01-02T12:00")
