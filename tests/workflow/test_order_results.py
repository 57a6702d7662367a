"""Results of orders: reports, panels, critical results, amendments (ORD-6)."""

from base64 import b64decode
from typing import Any

import httpx
import pytest

from fhir_server.workflow.canonicals import BASE, structure_definition
from tests.answers import refusal_of, resource_of, resources_of
from tests.workflow.ordering import codes, reference, ward
from tests.workflow.stepping import (
    call,
    observation,
    ordered,
    performed,
    practitioner,
    state_of,
    step,
    texts,
)

HB, WBC, PLT = "718-7", "6690-2", "777-3"
CRITICAL_RANGE = {
    "type": {"coding": [{"system": f"{BASE}/CodeSystem/reference-range-meaning",
                         "code": "critical"}]},
    "low": {"value": 7, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
}  # fmt: skip


def panel(*members: str) -> list[dict[str, Any]]:
    return [
        {
            "url": structure_definition("order-panel-member"),
            "valueCoding": {"system": "http://loinc.org", "code": code},
        }
        for code in members
    ]


async def invalid(client: httpx.AsyncClient, target: str, operation: str, **given: Any) -> str:
    answer = await call(client, target, operation, **given)
    told = refusal_of(answer, 422)
    assert set(codes(resource_of(answer, 422))) == {"VALIDATION_ERROR"}
    return told


@pytest.mark.parametrize(
    ("name", "text"), [("findings", "too short"), ("impression", "short"), ("text", "a report")]
)
async def test_ord_6_texts_have_least_lengths(
    client: httpx.AsyncClient, name: str, text: str
) -> None:
    target = await performed(client)
    told = await invalid(client, target, "report", **texts(**{name: text}))
    assert told.startswith(f"{name} has {len(text)} characters; expected at least")
    without = {key: value for key, value in texts().items() if key != name}
    assert await invalid(client, target, "report", **without) == f"report needs {name}"
    assert await state_of(client, target) == "completed"


async def test_ord_6_result_status_is_one_of_three(client: httpx.AsyncClient) -> None:
    target = await performed(client)
    told = await invalid(client, target, "report", **texts(result="fine"))
    assert told == "result='fine': expected normal, abnormal, critical"
    told = await invalid(client, target, "report", **texts(status="registered"))
    assert told == "status='registered': expected final or preliminary or partial"


async def test_ord_6_laboratory_report_needs_observations_with_values(
    client: httpx.AsyncClient,
) -> None:
    target = await performed(client, "laboratory")
    assert "report needs observation" in await invalid(client, target, "report", **texts())
    empty = observation(HB, 1)
    del empty["valueQuantity"]
    told = await invalid(client, target, "report", **texts(observation=[empty]))
    assert told.startswith("observation 1 (718-7): it has neither a value nor a dataAbsentReason")
    twice = [observation(HB, 13), observation(HB, 14)]
    assert (await performed(client, "laboratory")) != target
    first = await step(
        client, target, "report", **texts(status="preliminary", observation=[twice[0]])
    )
    assert first["observation"][0]["status"] == "preliminary"
    told = await invalid(client, target, "report", **texts(observation=twice))
    assert told == "observation 718-7 is given twice"


@pytest.mark.parametrize("result", [observation(HB, 13)])
async def test_ord_6_results_before_the_sample_are_refused(
    client: httpx.AsyncClient, result: dict[str, Any]
) -> None:
    target = await ordered(client, "laboratory")
    for status in ("final", "preliminary", "partial"):
        answer = await call(client, target, "report", **texts(observation=result, status=status))
        assert "is ordered" in refusal_of(answer, 409)
        assert codes(resource_of(answer, 409)) == ["INVALID_STATUS_TRANSITION"]


async def test_panel_is_partial_until_all_of_it_is_there(client: httpx.AsyncClient) -> None:
    target = await ordered(client, "laboratory", extension=panel(HB, WBC, PLT))
    await step(client, target, "collect-sample")
    await step(client, target, "start")
    partial = await step(
        client, target, "report", status="partial", result="normal",
        observation=[observation(HB, 13), observation(WBC, 7)],
    )  # fmt: skip
    assert (partial["state"], partial["report"]["status"]) == ("in-progress", "partial")
    assert [each["status"] for each in partial["observation"]] == ["preliminary"] * 2
    await step(client, target, "complete")
    told = await invalid(client, target, "report", **texts(observation=observation(WBC, 7)))
    assert told.startswith(f"the panel lacks {PLT}: report it as partial")
    rest = [observation(PLT, 250), observation(WBC, 7.5)]
    final = await step(client, target, "report", **texts(observation=rest))
    assert (final["state"], final["report"]["status"]) == ("reported", "final")
    assert final["report"]["id"] == partial["report"]["id"]
    assert len(final["report"]["result"]) == 3
    stored = [
        resource_of(await client.get(each["reference"])) for each in final["report"]["result"]
    ]
    assert [each["code"]["coding"][0]["code"] for each in stored] == [HB, WBC, PLT]
    assert [each["meta"]["versionId"] for each in stored] == ["2", "2", "1"]
    assert {each["status"] for each in stored} == {"final"}
    history = resource_of(await client.get(f"DiagnosticReport/{final['report']['id']}/_history"))
    assert [each["resource"]["status"] for each in history["entry"]] == ["final", "partial"]


async def test_test_not_done_completes_a_panel_and_says_why(client: httpx.AsyncClient) -> None:
    target = await performed(client, "laboratory", extension=panel(HB, WBC))
    absent = {
        "resourceType": "Observation",
        "status": "cancelled",
        "code": observation(WBC, 1)["code"],
        "dataAbsentReason": {"text": "clotted"},
    }
    done = await step(client, target, "report", **texts(observation=[observation(HB, 13), absent]))
    assert [each["status"] for each in done["observation"]] == ["final", "cancelled"]


async def test_critical_result_waits_for_somebody_to_acknowledge_it(
    client: httpx.AsyncClient,
) -> None:
    target = await performed(client, "laboratory")
    low = observation(HB, 5, low=12)
    low["referenceRange"].append(CRITICAL_RANGE)
    told = await invalid(client, target, "report", **texts(result="abnormal", observation=low))
    assert told == "result is abnormal, but 718-7 is critical; expected critical"
    done = await step(client, target, "report", **texts(result="critical", observation=low))
    flag, report = done["flag"], f"DiagnosticReport/{done['report']['id']}"
    assert flag["status"] == "active"
    assert flag["code"]["text"] == "Critical result: 718-7"
    assert flag["subject"] == done["order"]["subject"]
    assert [each["valueReference"] for each in flag["extension"]] == [{"reference": report}]
    doctor = await practitioner(client, "doctor")
    waiting = f"Flag?status=active&patient={flag['subject']['reference']}"
    assert [each["id"] for each in resources_of(resource_of(await client.get(waiting)))] == [
        flag["id"]
    ]
    seen = await step(client, report, "acknowledge", actor=doctor, reason="Transfusion ordered")
    assert (seen["flag"]["id"], seen["flag"]["status"]) == (flag["id"], "inactive")
    assert set(seen["flag"]["period"]) == {"start", "end"}
    history = seen["order"]["relevantHistory"]
    provenance = resource_of(await client.get(history[-1]["reference"]))
    assert provenance["reason"] == [{"text": "Transfusion ordered"}]
    assert f"Flag/{flag['id']}" in [each["reference"] for each in provenance["target"]]
    assert resources_of(resource_of(await client.get(waiting))) == []
    again = await call(client, report, "acknowledge", actor=doctor, reason="Transfusion ordered")
    assert again.status_code == 200
    late = await call(client, report, "acknowledge", actor=await practitioner(client, "nurse"))
    assert f"; {doctor} did at" in refusal_of(late, 409)
    technician = await practitioner(client, "technician")
    refusal_of(await call(client, report, "acknowledge", actor=technician), 403, "forbidden")


async def test_result_that_is_not_critical_has_nothing_to_acknowledge(
    client: httpx.AsyncClient,
) -> None:
    done = await step(client, await performed(client), "report", **texts())
    assert "flag" not in done
    report = f"DiagnosticReport/{done['report']['id']}"
    assert "no critical result" in refusal_of(await call(client, report, "acknowledge"), 409)


async def test_critical_result_is_flagged_once_until_it_is_seen(client: httpx.AsyncClient) -> None:
    target = await performed(client, "laboratory")
    given = texts(result="critical", observation=observation(HB, 5))
    first = await step(client, target, "report", **given, status="preliminary")
    second = await step(client, target, "report", **given)
    assert "flag" in first
    assert "flag" not in second
    report = f"DiagnosticReport/{second['report']['id']}"
    await step(client, report, "acknowledge")
    changed = observation(HB, 4)
    amended = await step(client, report, "amend", reason="The tube was mixed up",
                         observation=changed, result="critical")  # fmt: skip
    assert amended["flag"]["id"] != first["flag"]["id"]


async def test_ord_6_amended_report_keeps_the_old_version_in_history(
    client: httpx.AsyncClient,
) -> None:
    target = await performed(client, "laboratory")
    done = await step(
        client, target, "report",
        **texts(observation=[observation(HB, 13, low=12, high=16), observation(WBC, 7)]),
    )  # fmt: skip
    report = f"DiagnosticReport/{done['report']['id']}"
    given = {
        "status": "corrected",
        "reason": "Haemoglobin was read wrongly",
        "impression": "Anaemia is likely",
        "result": "abnormal",
        "text": "Haemoglobin is 10.3 instead of 13.",
        "observation": observation(HB, 10.3, low=12, high=16),
    }
    after = await step(client, report, "amend", **given)
    assert (after["state"], after["report"]["status"]) == ("reported", "corrected")
    assert after["report"]["meta"]["versionId"] == "2"
    assert after["report"]["conclusion"] == "Anaemia is likely"
    assert after["report"]["result"] == done["report"]["result"]
    (form,) = after["report"]["presentedForm"]
    assert b64decode(form["data"]).decode() == given["text"]
    (changed,) = after["observation"]
    assert (changed["id"], changed["status"]) == (done["observation"][0]["id"], "corrected")
    assert changed["interpretation"][0]["coding"][0]["code"] == "L"
    untouched = resource_of(await client.get(f"Observation/{done['observation'][1]['id']}"))
    assert (untouched["status"], untouched["meta"]["versionId"]) == ("final", "1")
    old = resource_of(await client.get(f"{report}/_history/1"))
    assert (old["status"], old["conclusion"]) == ("final", done["report"]["conclusion"])
    again = await step(client, report, "amend", **given)
    assert again["report"]["meta"]["versionId"] == "2"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"reason": "Typing error in it"}, "amend needs what is changed"),
        ({"reason": "short", "impression": "Something else"}, "reason has 5 characters"),
        ({"reason": "Typing error in it", "impression": "short"}, "impression has 5 characters"),
        ({"reason": "Typing error in it", "impression": "Something else", "status": "final"},
         "status='final': expected amended, corrected, appended"),
        ({"reason": "Typing error in it", "result": "odd"}, "result='odd': expected"),
    ],
)  # fmt: skip
async def test_amendment_says_what_and_why(
    client: httpx.AsyncClient, given: dict[str, Any], told: str
) -> None:
    done = await step(client, await performed(client), "report", **texts())
    report = f"DiagnosticReport/{done['report']['id']}"
    assert told in await invalid(client, report, "amend", **given)


async def test_only_a_final_report_is_amended(client: httpx.AsyncClient) -> None:
    target = await performed(client, "laboratory")
    given = texts(status="preliminary", observation=observation(HB, 13))
    report = f"DiagnosticReport/{(await step(client, target, 'report', **given))['report']['id']}"
    answer = await call(
        client, report, "amend", reason="Typing error in it", impression="Something else"
    )
    assert codes(resource_of(answer, 409)) == ["INVALID_STATUS_TRANSITION"]


async def test_ord_6_interpreter_studies_and_other_forms_are_kept(
    client: httpx.AsyncClient,
) -> None:
    at = await ward(client)
    target = await performed(client, at=at)
    study = {"resourceType": "ImagingStudy", "status": "available",
             "subject": {"reference": at.patient}}  # fmt: skip
    elsewhere = await reference(client, study)
    who = [await practitioner(client, "radiologist") for _ in range(2)]
    form = {"contentType": "application/pdf", "url": "http://example.org/report.pdf"}
    done = await step(
        client, target, "report",
        **texts(interpreter=who, imagingStudy=elsewhere, presentedForm=form),
    )  # fmt: skip
    report = done["report"]
    assert [each["reference"] for each in report["resultsInterpreter"]] == who
    assert report["imagingStudy"] == [{"reference": elsewhere}]
    assert [each["contentType"] for each in report["presentedForm"]] == [
        "text/plain; charset=utf-8", "application/pdf",
    ]  # fmt: skip
    given = {"reason": "Typing error in it", "text": "Chest, two views. All is well."}
    after = await step(client, f"DiagnosticReport/{report['id']}", "amend", **given)
    assert [each["contentType"] for each in after["report"]["presentedForm"]] == [
        "text/plain; charset=utf-8", "application/pdf",
    ]  # fmt: skip
    assert after["report"]["resultsInterpreter"] == report["resultsInterpreter"]
    assert after["report"]["extension"] == report["extension"]


async def test_report_of_no_order_is_not_amended(client: httpx.AsyncClient) -> None:
    at = await ward(client)
    plain = {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"},
             "subject": {"reference": at.patient}}  # fmt: skip
    report = await reference(client, plain)
    given = {"reason": "Typing error in it", "impression": "Something else"}
    assert codes(resource_of(await call(client, report, "amend", **given), 404)) == [
        "ORDER_NOT_FOUND"
    ]
    refusal_of(await call(client, "DiagnosticReport/none", "amend", **given), 404, "not-found")


async def test_results_of_a_merged_patient_go_to_the_record_that_took_over(
    client: httpx.AsyncClient,
) -> None:
    at = await ward(client)
    target = await ordered(client, "laboratory", at)
    for name in ("collect-sample", "start", "complete"):
        await step(client, target, name)
    other = await reference(client, {"resourceType": "Patient", "active": True})
    merged = resource_of(await client.get(at.patient)) | {
        "active": False,
        "link": [{"other": {"reference": other}, "type": "replaced-by"}],
    }
    resource_of(await client.put(at.patient, json=merged))
    done = await step(client, target, "report", **texts(observation=observation(HB, 13)))
    assert done["order"]["subject"] == {"reference": at.patient}
    assert done["report"]["subject"] == {"reference": other}
    assert done["observation"][0]["subject"] == {"reference": other}


async def test_observation_that_breaks_an_invariant_is_refused(client: httpx.AsyncClient) -> None:
    given = observation("718-7", 13) | {"dataAbsentReason": {"text": "clotted"}}
    target = await performed(client, "laboratory")
    answer = await call(client, target, "report", **texts(observation=given))
    assert "obs-6" in refusal_of(answer, 400, "invariant")
    assert await state_of(client, target) == "completed"


async def test_if_match_of_an_amendment_is_of_the_report(client: httpx.AsyncClient) -> None:
    done = await step(client, await performed(client), "report", **texts())
    report = f"DiagnosticReport/{done['report']['id']}"
    given = {"reason": "Typing error in it", "impression": "Something else"}
    refusal_of(await call(client, report, "amend", **given, if_match='W/"5"'), 412)
    answer = await call(client, report, "amend", **given, if_match='W/"1"')
    assert answer.headers["etag"] == 'W/"2"'


async def test_observation_of_another_patient_is_refused(client: httpx.AsyncClient) -> None:
    other = (await ward(client)).patient
    given = observation(HB, 13) | {"subject": {"reference": other}}
    target = await performed(client, "laboratory")
    told = await invalid(client, target, "report", **texts(observation=given))
    assert told.startswith(f"observation 718-7 is of {other}")


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    return await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)


async def test_ord_6_a_plain_write_changes_no_report_that_was_issued(
    client: httpx.AsyncClient,
) -> None:
    done = await step(client, await performed(client), "report", **texts())
    report = done["report"]
    without = {name: value for name, value in report.items() if name != "basedOn"}
    for changed in (
        report | {"conclusion": "Something else entirely"},
        report | {"conclusion": "Something else entirely", "status": "corrected"},
        without,
    ):
        answer = await put(client, changed)
        assert codes(resource_of(answer, 409)) == ["INVALID_STATUS_TRANSITION"]
        assert f"DiagnosticReport/{report['id']}/$amend" in refusal_of(answer, 409)
    patch = [{"op": "replace", "path": "/conclusion", "value": "Something else entirely"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await client.patch(f"DiagnosticReport/{report['id']}", json=patch, headers=headers)
    assert answer.status_code == 409
    tagged = report | {"meta": {"tag": [{"system": "urn:seen", "code": "yes"}]}}
    assert (await put(client, tagged)).status_code == 200


async def test_observation_that_was_issued_is_corrected_by_saying_so(
    client: httpx.AsyncClient,
) -> None:
    target = await performed(client, "laboratory")
    done = await step(client, target, "report", **texts(observation=observation(HB, 13)))
    (found,) = done["observation"]
    changed = found | {"valueQuantity": found["valueQuantity"] | {"value": 10}}
    assert "amended, cancelled, corrected" in refusal_of(await put(client, changed), 409)
    assert (await put(client, changed | {"status": "corrected"})).status_code == 200


async def test_reports_and_observations_of_no_order_are_changed_as_anything_is(
    client: httpx.AsyncClient,
) -> None:
    for type_ in ("DiagnosticReport", "Observation"):
        plain = {"resourceType": type_, "id": "plain", "status": "final", "code": {"text": "x"}}
        assert (await put(client, plain)).status_code == 201
        assert (await put(client, plain | {"code": {"text": "y"}})).status_code == 200
        assert (await client.delete(f"{type_}/plain")).status_code == 204
