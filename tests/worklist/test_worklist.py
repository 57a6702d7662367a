"""DCM-7: what modalities find on the worklist, by findscu and by pynetdicom."""

import asyncio

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from fhir_server.workflow.study_uids import study_uid
from fhir_server.worklist.entries import Entries, Values
from fhir_server.worklist.reading import Found
from tests.workflow.ordering import accession, number
from tests.workflow.stepping import step
from tests.worklist.calling import (
    accessions,
    answers,
    ask,
    associated,
    findscu,
    of_step,
    patient,
    query,
    scheduled,
    station,
)
from tests.worklist.conftest import TITLE, House


async def test_findscu_sees_a_scheduled_order_until_it_is_completed(house: House) -> None:
    who = await patient(house.client, "4711")
    room = await station(house.client, "CT1")
    order = await scheduled(house.client, who, location=room)
    (found,) = await findscu(house, f"AccessionNumber={accession(order)}")
    assert str(found.PatientName) == "Muster^Erika^Maria^Dr."
    assert found.PatientID == "4711"
    assert found.RequestedProcedureID == number(order)
    assert found.StudyInstanceUID == study_uid(order) != ""
    (item,) = found.ScheduledProcedureStepSequence
    assert item.Modality == "CT"
    assert item.ScheduledStationAETitle == "CT1"
    assert item.ScheduledProcedureStepStartDate == "20261201"
    assert item.ScheduledProcedureStepStartTime == "093000"
    assert item.ScheduledProcedureStepID == accession(order)
    assert item.ScheduledProcedureStepStatus == "SCHEDULED"
    target = f"ServiceRequest/{order['id']}"
    await step(house.client, target, "start")
    (found,) = await findscu(house, f"AccessionNumber={accession(order)}")
    assert found.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus == "STARTED"
    await step(house.client, target, "complete")
    assert await findscu(house, f"AccessionNumber={accession(order)}") == []


async def test_orders_are_selected_by_station_modality_time_patient_and_accession(
    house: House,
) -> None:
    who = await patient(house.client, "77-1", family="Selbst", given=["Anna"])
    ct1, mr1 = await station(house.client, "CT1"), await station(house.client, "MR1")
    early = accession(
        await scheduled(house.client, who, location=ct1, time="2027-02-01T08:00:00+01:00")
    )
    late = accession(
        await scheduled(house.client, who, location=ct1, time="2027-02-01T15:00:00+01:00")
    )
    other = accession(
        await scheduled(
            house.client, who, modality="MRI", location=mr1, time="2027-02-02T08:00:00+01:00"
        )
    )
    mine = "PatientID=77-1"
    expected = {
        (mine,): [early, late, other],
        (mine, *of_step(Modality="CT")): [early, late],
        (mine, *of_step(Modality="MR")): [other],
        (mine, *of_step(Modality="US")): [],
        (mine, *of_step(ScheduledStationAETitle="MR1")): [other],
        (mine, *of_step(ScheduledStationAETitle="CT*")): [early, late],
        (mine, *of_step(ScheduledProcedureStepStartDate="20270201")): [early, late],
        (mine, *of_step(ScheduledProcedureStepStartDate="20270202-")): [other],
        (mine, *of_step(ScheduledProcedureStepStartDate="-20270201")): [early, late],
        (mine, *of_step(ScheduledProcedureStepStartDate="20270201-20270202")): [
            early, late, other
        ],
        (mine, *of_step(ScheduledProcedureStepStartTime="1400-1600")): [late],
        ("PatientName=selbst^a*",): [early, late, other],
        ("PatientName=selbst", mine): [],
        (f"AccessionNumber={late}",): [late],
        (f"AccessionNumber={late.lower()}",): [],
        ("AccessionNumber=ACC-1999-00001",): [],
    }  # fmt: skip
    for keys, wanted in expected.items():
        assert accessions(await findscu(house, *keys)) == wanted, keys


async def test_an_x_ray_order_is_found_as_either_of_its_modalities(house: House) -> None:
    order = accession(await scheduled(house.client, modality="XRAY"))
    for modality in ("CR", "DX"):
        (found,) = await findscu(house, f"AccessionNumber={order}", *of_step(Modality=modality))
        assert found.ScheduledProcedureStepSequence[0].Modality == modality


async def test_a_step_without_a_station_is_offered_to_whoever_asks(house: House) -> None:
    order = accession(await scheduled(house.client))
    (found,) = await findscu(
        house, f"AccessionNumber={order}", *of_step(ScheduledStationAETitle="CT7")
    )
    assert found.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "CT7"


async def test_names_go_out_in_utf_8_or_as_the_station_needs_them(house: House) -> None:
    ideographs = {
        "url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation",
        "valueCode": "IDE",
    }
    who = await patient(house.client, "CS-1", family="Łukasz-Müller", given=["Zoë"])
    resource = (await house.client.get(who)).json()
    resource["name"].append({"family": "山田", "given": ["太郎"], "extension": [ideographs]})
    assert (await house.client.put(who, json=resource)).status_code == 200
    order = accession(await scheduled(house.client, who))
    asked = query(AccessionNumber=order)
    expected = {
        "CT1": ("ISO_IR 192", "Łukasz-Müller^Zoë=山田^太郎"),
        "OLDCT": ("ISO_IR 100", "Lukasz-Müller^Zoë=??^??"),
        "ASCII": ("ISO_IR 6", "Lukasz-Muller^Zoe=??^??"),
    }
    for caller, (character_set, name) in expected.items():
        (found,) = await answers(house, asked, caller)
        assert found.SpecificCharacterSet == character_set
        assert str(found.PatientName) == name


async def test_a_name_is_asked_for_in_the_querys_own_character_set(house: House) -> None:
    who = await patient(house.client, "CS-2", family="Größe", given=["Jörg"])
    order = accession(await scheduled(house.client, who))
    asked = query(PatientName="Größe^Jö*")
    asked.SpecificCharacterSet = "ISO_IR 100"
    assert accessions(await answers(house, asked)) == [order]


async def test_a_patient_without_identifiers_is_known_by_the_id(house: House) -> None:
    order = await scheduled(house.client)
    (found,) = await answers(house, query(AccessionNumber=accession(order)))
    assert found.PatientID == order["subject"]["reference"].partition("/")[2]


async def test_only_what_was_asked_for_is_answered_and_the_rest_empty(house: House) -> None:
    order = accession(await scheduled(house.client))
    asked = Dataset()
    asked.AccessionNumber = order
    asked.PatientState = ""
    asked.RequestedProcedurePriority = ""
    (found,) = await answers(house, asked)
    assert {each.keyword for each in found} == {
        "SpecificCharacterSet", "AccessionNumber", "PatientState", "RequestedProcedurePriority"
    }  # fmt: skip
    assert found.RequestedProcedurePriority == "HIGH"
    assert found.PatientState == ""


async def test_a_malformed_query_gets_a_failure_and_no_empty_list(house: House) -> None:
    with disable_value_validation():
        asked = query({"ScheduledProcedureStepStartDate": "2026"})
        found, status = await asyncio.to_thread(ask, house, asked)
    assert (found, status) == ([], 0xA900)


async def test_orders_that_wait_or_are_cancelled_are_not_listed(house: House) -> None:
    held, cancelled = await scheduled(house.client), await scheduled(house.client)
    await step(house.client, f"ServiceRequest/{held['id']}", "hold")
    await step(
        house.client, f"ServiceRequest/{cancelled['id']}", "cancel", reason="Patient went home"
    )
    for order in (held, cancelled):
        assert await findscu(house, f"AccessionNumber={accession(order)}") == []
    await step(house.client, f"ServiceRequest/{held['id']}", "resume")
    assert len(await findscu(house, f"AccessionNumber={accession(held)}")) == 1


async def test_a_changed_patient_is_told_by_the_next_answer(house: House) -> None:
    who = await patient(house.client, "CH-1", family="Before")
    order = accession(await scheduled(house.client, who))
    (found,) = await answers(house, query(AccessionNumber=order))
    assert str(found.PatientName) == "Before"
    resource = (await house.client.get(who)).json()
    resource["name"] = [{"family": "After"}]
    assert (await house.client.put(who, json=resource)).status_code == 200
    (found,) = await answers(house, query(AccessionNumber=order))
    assert str(found.PatientName) == "After"


@pytest.mark.parametrize(("caller", "title"), [("STRANGER", TITLE), ("CT1", "ANOTHER")])
async def test_who_is_not_listed_or_calls_another_title_is_refused(
    house: House, caller: str, title: str
) -> None:
    association = await asyncio.to_thread(associated, house, caller, title)
    assert not association.is_established


async def test_c_echo_is_answered(house: House) -> None:
    association = await asyncio.to_thread(associated, house)
    status = await asyncio.to_thread(association.send_c_echo)
    await asyncio.to_thread(association.release)
    assert status.Status == 0


async def until_made(made: list[str], id_: str) -> None:
    for _ in range(400):
        if id_ in made:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{id_} is not made")


async def test_entries_are_made_before_a_modality_asks_for_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer takes no longer than others."""
    made: list[str] = []
    make = Entries._made

    def counted(entries: Entries, found: Found) -> Values:
        made.append(found.id)
        return make(entries, found)

    monkeypatch.setattr(Entries, "_made", counted)
    order = await scheduled(house.client, await patient(house.client, "55-1"))
    await until_made(made, order["id"])
    made.clear()
    (found,) = await findscu(house, f"AccessionNumber={accession(order)}")
    assert found.PatientID == "55-1"
    assert made == []
    await step(house.client, f"ServiceRequest/{order['id']}", "start")
    await until_made(made, order["id"])
