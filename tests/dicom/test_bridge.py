"""From a device's images to a linked ImagingStudy and a completed order, with a real Orthanc."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.workflow.canonicals import IDENTIFIER_TYPE
from fhir_server.workflow.study_uids import study_uid
from tests.dicom.hospital import Hospital, based_on, decision, tag
from tests.dicom.images import CT_IMAGE, Scan, issued_by, requested, series, storescu, write
from tests.workflow.ordering import accession

RIS2 = "http://example.org/ris2"

Scene = Callable[[Hospital], Awaitable[Any]]
_scenes: dict[str, Scene] = {}


def scene(prepare: Scene) -> Scene:
    """Something that is sent before the first test asks."""
    _scenes[prepare.__name__] = prepare
    return prepare


@pytest.fixture(scope="module")
async def sent(hospital: Hospital) -> dict[str, Any]:
    """What each scene gives; they wait together for the archive to find them quiet."""
    return {name: await prepare(hospital) for name, prepare in _scenes.items()}


@scene
async def plain(hospital: Hospital) -> Any:
    order, scan = await hospital.ordered("M1")
    hospital.send(scan, 2, StudyDescription="Thorax", BodyPartExamined="CHEST", Laterality="L")
    return order, scan


@scene
async def study_uid_alone(hospital: Hospital) -> Any:
    order, scan = await hospital.ordered("M2")
    scan = Scan("", "M2", study=study_uid(order))
    hospital.send(scan)
    return order, scan


@scene
async def no_number(hospital: Hospital) -> Any:
    await hospital.ordered("M3")
    scan = Scan("", "M3")
    hospital.send(scan)
    return scan


@scene
async def unknown_number(hospital: Hospital) -> Any:
    scan = Scan("LATER-1", "M4")
    hospital.send(scan)
    return scan


@scene
async def another_patient(hospital: Hospital) -> Any:
    order, scan = await hospital.ordered("M6")
    other = await hospital.patient("M6-OTHER")
    scan = Scan(accession(order), "M6-OTHER")
    hospital.send(scan)
    return order, other, scan


@scene
async def another_issuer(hospital: Hospital) -> Any:
    order, scan = await hospital.ordered("M8")
    scan = scan.with_(IssuerOfAccessionNumberSequence=issued_by("RIS2"))
    hospital.send(scan)
    return order, scan


@scene
async def known_issuer(hospital: Hospital) -> Any:
    at = await hospital.patient("M9")
    type_ = {"coding": [{"system": IDENTIFIER_TYPE, "code": "ACSN"}]}
    number = {"type": type_, "system": RIS2, "value": "R2-1"}
    order = await hospital.order(at, identifier=[number])
    scan = Scan("R2-1", "M9").with_(IssuerOfAccessionNumberSequence=issued_by("RIS2"))
    hospital.send(scan)
    return order, scan


@scene
async def two_orders(hospital: Hospital) -> Any:
    at = await hospital.patient("M10")
    orders = [await hospital.order(at) for _ in range(2)]
    numbers = [accession(each) for each in orders]
    scan = Scan("", "M10").with_(RequestAttributesSequence=requested(numbers))
    hospital.send(scan)
    return orders, scan


@scene
async def two_patients_orders(hospital: Hospital) -> Any:
    first, _ = await hospital.ordered("M11")
    second, _ = await hospital.ordered("M11B")
    numbers = [accession(first), accession(second)]
    scan = Scan("", "M11").with_(RequestAttributesSequence=requested(numbers))
    hospital.send(scan)
    return scan


@scene
async def disagreement(hospital: Hospital) -> Any:
    at = await hospital.patient("M13")
    first, second = [await hospital.order(at) for _ in range(2)]
    scan = Scan(accession(second), "M13", study=study_uid(first))
    hospital.send(scan)
    return scan


@scene
async def burst(hospital: Hospital) -> Any:
    _, scan = await hospital.ordered("M14")
    hospital.send(scan, 10)
    return scan


@scene
async def cancelled(hospital: Hospital) -> Any:
    order, scan = await hospital.ordered("M15")
    reason = {"name": "reason", "valueString": "Ordered by mistake"}
    body = {"resourceType": "Parameters", "parameter": [reason]}
    answer = await hospital.client.post(f"ServiceRequest/{order['id']}/$cancel", json=body)
    assert answer.status_code == 200
    hospital.send(scan)
    return order, scan


@scene
async def on_hold(hospital: Hospital) -> Any:
    order, scan = await hospital.ordered("M21")
    answer = await hospital.client.post(f"ServiceRequest/{order['id']}/$hold")
    assert answer.status_code == 200
    hospital.send(scan)
    return order, scan


@scene
async def private(hospital: Hospital) -> Any:
    _, scan = await hospital.ordered("M17")
    folder = Path(hospital._folder) / "private"

    (image,) = series(scan, StudyDescription="Röntgen 胸部\t", ReferringPhysicianName="Люкс^Анна")
    block = image.private_block(0x0029, "ACME", create=True)
    block.add_new(0x01, "LO", "secret patient note")
    storescu(hospital.orthanc.dicom_port, write(folder, [image]))
    return scan


@scene
async def odd(hospital: Hospital) -> Any:
    _, scan = await hospital.ordered("M18")
    hospital.send(scan, InstanceNumber="-1", SeriesNumber=None, StudyTime="25", Laterality="X")
    return scan


@scene
async def zone(hospital: Hospital) -> Any:
    _, scan = await hospital.ordered("M19")
    hospital.send(scan, TimezoneOffsetFromUTC="-0330")
    return scan


@scene
async def birth_date(hospital: Hospital) -> Any:
    _, scan = await hospital.ordered("M20")
    hospital.send(scan, PatientBirthDate="19610203")
    return scan


@scene
async def spelled(hospital: Hospital) -> Any:
    found = {}
    for name in ("lower", "spaces", "longer"):
        order, _ = await hospital.ordered(f"M5{name}")
        number = accession(order)
        given = {"lower": number.lower(), "spaces": f" {number} ", "longer": f"{number}-000"}
        found[name] = Scan(given[name], f"M5{name}")
        hospital.send(found[name])
    return found


@scene
async def issuers(hospital: Hospital) -> Any:
    found = {}
    for issuer in ("MAIN", "ELSEWHERE"):
        order, _ = await hospital.ordered(f"M7{issuer}")
        found[issuer] = Scan(accession(order), f"M7{issuer}", issuer)
        hospital.send(found[issuer])
    return found


@scene
async def twice(hospital: Hospital) -> Any:
    order, scan = await hospital.ordered("M12")
    again = Scan(scan.accession, "M12")
    for each in (scan, again):
        hospital.send(each)
    return order, scan, again


@scene
async def shared_uid(hospital: Hospital) -> Any:
    _, scan = await hospital.ordered("M16")
    hospital.send(scan)
    new = Scan("", "M16-Y")
    hospital.send(new)
    hospital.send(Scan("", "M16-Z", study=new.study))
    return scan, new


async def test_dcm_1_images_with_an_orders_accession_number_complete_it(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    order, scan = sent["plain"]
    study = await hospital.study(scan, based_on)
    reference = f"ServiceRequest/{order['id']}"
    assert study["status"] == "available"
    assert based_on(study) == [reference]
    assert study["basedOn"][0]["identifier"]["value"] == accession(order)
    assert study["subject"] == {"reference": order["subject"]["reference"]}
    assert study["encounter"] == order["encounter"]
    assert study["modality"][0]["code"] == "CT"
    assert study["started"] == "2026-11-21T08:30:00+00:00"
    assert study["description"] == "Thorax"
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 2)
    (series,) = study["series"]
    assert [each["number"] for each in series["instance"]] == [1, 2]
    assert series["instance"][0]["sopClass"]["code"] == f"urn:oid:{CT_IMAGE}"
    assert series["bodySite"]["code"] == "43799004"
    assert series["laterality"]["code"] == "419161000"
    assert decision(study, "rule") == "accession"
    assert tag(study) == ""
    endpoint = await hospital.read(study["endpoint"][0]["reference"])
    assert endpoint["address"] == "http://localhost:8080/dicom-web"
    assert await hospital.state(order["id"]) == "completed"
    steps = await hospital.all(f"Provenance?target={reference}&_sort=recorded")
    codes = [each["activity"]["coding"][0]["code"] for each in steps]
    assert sorted(codes) == sorted(["create", "schedule", "start", "complete"])
    last = next(s for s in steps if s["activity"]["coding"][0]["code"] == "complete")
    assert last["agent"][0]["who"]["reference"] == "Device/image-archive"
    assert last["entity"][0]["what"]["reference"] == f"ImagingStudy/{scan.study}"


async def test_images_under_the_study_uid_of_the_worklist_need_no_accession_number(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: accession number missing."""
    order, scan = sent["study_uid_alone"]
    study = await hospital.study(scan, based_on)
    assert decision(study, "rule") == "study-uid"
    assert await hospital.state(order["id"]) == "completed"


async def test_dcm_6_images_without_an_accession_number_are_listed_as_unmatched(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: an empty value finds everything in a query."""
    scan = sent["no_number"]
    study = await hospital.study(scan)
    assert (tag(study), based_on(study)) == ("unmatched", [])
    patient = study["subject"]["reference"]
    assert (await hospital.read(patient))["identifier"][0]["value"] == "M3"
    listed = await hospital.all("ImagingStudy?_tag=unmatched")
    assert scan.study in {each["id"] for each in listed}


async def test_an_order_that_comes_later_gets_its_images(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: unknown accession number."""
    scan = sent["unknown_number"]
    study = await hospital.study(scan)
    assert tag(study) == "unmatched"
    assert study["subject"] == {"identifier": {"value": "M4"}}
    system = "https://fhir-server.example/r4/accession-number"
    at = await hospital.patient("M4")
    order = await hospital.order(at, identifier=[{"system": system, "value": "LATER-1"}])
    study = await hospital.study(scan, based_on)
    assert based_on(study) == [f"ServiceRequest/{order['id']}"]
    assert await hospital.state(order["id"]) == "completed"


@pytest.mark.parametrize(
    ("spelled", "tagged"), [("lower", "unmatched"), ("spaces", ""), ("longer", "unmatched")]
)
async def test_an_accession_number_is_compared_exactly(
    hospital: Hospital, sent: dict[str, Any], spelled: str, tagged: str
) -> None:
    """Hazard: more than 16 characters, wildcards and case; spaces around are none of its own."""
    assert tag(await hospital.study(sent["spelled"][spelled])) == tagged


async def test_another_patients_images_are_not_linked(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: patient mismatch."""
    order, other, scan = sent["another_patient"]
    task = await hospital.conflict(scan, "patient-mismatch")
    study = await hospital.study(scan)
    assert (tag(study), based_on(study)) == ("conflict", [])
    assert study["subject"] == {"reference": other.patient}
    assert task["focus"] == {"reference": f"ImagingStudy/{scan.study}"}
    assert task["input"][0]["valueReference"]["reference"] == f"ServiceRequest/{order['id']}"
    assert await hospital.state(order["id"]) == "ordered"
    assert "M6" not in str(task)


@pytest.mark.parametrize(("issuer", "linked"), [("MAIN", True), ("ELSEWHERE", False)])
async def test_a_patient_id_of_another_issuer_is_another_patients(
    hospital: Hospital, sent: dict[str, Any], issuer: str, linked: bool
) -> None:
    """Hazard: patient mismatch, issuers of patient ids."""
    study = await hospital.study(sent["issuers"][issuer])
    assert bool(based_on(study)) is linked


async def test_an_accession_number_of_another_issuer_is_a_conflict(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: issuer, collisions of several sites."""
    order, scan = sent["another_issuer"]
    await hospital.conflict(scan, "issuer-mismatch")
    assert await hospital.state(order["id"]) == "ordered"


async def test_an_accession_number_of_a_known_issuer_is_its_orders(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: issuer."""
    order, scan = sent["known_issuer"]
    study = await hospital.study(scan, based_on)
    assert based_on(study) == [f"ServiceRequest/{order['id']}"]
    assert RIS2 in {each.get("system") for each in study["identifier"]}


async def test_one_study_for_two_orders_is_linked_to_both(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: mixed accession numbers, grouped procedures."""
    orders, scan = sent["two_orders"]
    study = await hospital.study(scan, based_on)
    assert based_on(study) == sorted(f"ServiceRequest/{each['id']}" for each in orders)
    assert decision(study, "rule") == "request-attributes"
    for each in orders:
        assert await hospital.state(each["id"]) == "completed"


async def test_orders_of_two_patients_in_one_study_are_a_conflict(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: one study for two orders, nothing guessed."""
    scan = sent["two_patients_orders"]
    task = await hospital.conflict(scan, "ambiguous")
    assert len(task["input"]) == 2


async def test_two_studies_for_one_accession_number_are_both_linked(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: one accession number, several studies."""
    order, scan, again = sent["twice"]
    for each in (scan, again):
        await hospital.study(each, based_on)
    found = await hospital.all(f"ImagingStudy?basedon=ServiceRequest/{order['id']}")
    assert {each["id"] for each in found} == {scan.study, again.study}
    steps = await hospital.all(f"Provenance?target=ServiceRequest/{order['id']}")
    codes = [each["activity"]["coding"][0]["code"] for each in steps]
    assert codes.count("complete") == 1


async def test_a_study_uid_and_an_accession_number_of_two_orders_are_a_conflict(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: a disagreement is a person's to settle."""
    scan = sent["disagreement"]
    await hospital.conflict(scan, "disagreement")


async def test_late_instances_add_up_in_one_version_a_burst(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: split uploads, late instances; a version a burst, never one a slice."""
    scan = sent["burst"]
    first = await hospital.study(scan, based_on)
    assert (first["numberOfInstances"], first["meta"]["versionId"]) == (10, "1")
    hospital.send(scan, 5)
    second = await hospital.study(scan, lambda found: found["numberOfSeries"] == 2)
    assert (second["numberOfInstances"], second["meta"]["versionId"]) == (15, "2")


async def test_images_of_a_cancelled_order_are_linked_and_a_person_is_told(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    order, scan = sent["cancelled"]
    await hospital.conflict(scan, "order-closed")
    assert based_on(await hospital.study(scan))
    assert await hospital.state(order["id"]) == "cancelled"


async def test_two_patients_under_one_study_uid_are_quarantined(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: same StudyInstanceUID, two PatientIDs."""
    scan, new = sent["shared_uid"]
    await hospital.conflict(new, "shared-study-uid")
    bare = await hospital.study(new)
    assert (tag(bare), bare["status"], based_on(bare)) == ("conflict", "unknown", [])
    assert "series" not in bare
    before = await hospital.study(scan, based_on)
    hospital.send(Scan(scan.accession, "M16-X", study=scan.study))
    await hospital.conflict(scan, "shared-study-uid")
    assert await hospital.study(scan) == before


async def test_private_tags_and_names_of_other_systems_stay_out(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: private tags, character sets."""
    scan = sent["private"]
    study = await hospital.study(scan, based_on)
    assert study["description"] == "Röntgen 胸部"
    assert study["referrer"] == {"display": "Анна Люкс"}
    assert "secret" not in str(study)


async def test_an_odd_number_is_left_out_and_a_study_stays_whole(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: instance numbers are optional, and may be negative."""
    scan = sent["odd"]
    study = await hospital.study(scan, based_on)
    (series,) = study["series"]
    assert "number" not in series
    assert "number" not in series["instance"][0]
    assert study["started"] == "2026-11-21"


async def test_the_zone_of_the_images_counts(hospital: Hospital, sent: dict[str, Any]) -> None:
    """Hazard: time zone."""
    scan = sent["zone"]
    study = await hospital.study(scan, based_on)
    assert study["started"] == "2026-11-21T08:30:00-03:30"


async def test_a_birth_date_that_differs_is_a_warning(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    """Hazard: patient mismatch, the softer kind."""
    scan = sent["birth_date"]
    study = await hospital.study(scan, based_on)
    assert "birth date" in decision(study, "warning")


async def test_an_order_on_hold_is_completed_once_it_goes_on(
    hospital: Hospital, sent: dict[str, Any]
) -> None:
    order, scan = sent["on_hold"]
    task = await hospital.conflict(scan, "order-closed")
    assert await hospital.state(order["id"]) == "on-hold"
    answer = await hospital.client.post(f"ServiceRequest/{order['id']}/$resume")
    assert answer.status_code == 200
    await hospital.until(f"Task/{task['id']}", lambda found: found["status"] == "completed")
    assert await hospital.state(order["id"]) == "completed"
    assert (await hospital.study(scan))["meta"]["versionId"] == "1"
