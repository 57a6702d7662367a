"""How fast a worklist is answered, beside what pynetdicom takes for the same answers alone.

`python -m benchmarks.worklist --base-url URL --port PORT --title AE`: makes 1,000 scheduled orders
in a server with a worklist, asks for all of them some times, and in turns asks a bare pynetdicom
server that has the same datasets ready. The exit status is 1 when our time is more than twice the
other.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

_BASE = "https://fhir-server.example/r4"
_CLASS = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_LIMIT = 2.0
_LOG_IDENTIFIERS = False
_CHUNK = 50


def main() -> int:
    """Exit status 1 when it takes more than twice as long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worklist", description=__doc__)
    parser.add_argument("--base-url", default="http://localhost:8080/fhir")
    parser.add_argument("--port", type=int, default=11112)
    parser.add_argument("--bare-port", type=int, default=11113)
    parser.add_argument("--title", default="FHIRSERVER")
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = _LOG_IDENTIFIERS
    day = f"2031{time.time_ns() // 10**9 % 12 + 1:02d}{time.time_ns() // 10**10 % 28 + 1:02d}"
    _make_orders(given.base_url, given.steps, day)
    cold = _timed(given.port, given.title, day, given.steps)
    ready = _answers(given.port, given.title, day)[: given.steps]
    bare = multiprocessing.Process(target=_serve_bare, args=(given.bare_port, ready), daemon=True)
    bare.start()
    time.sleep(2)
    ours, others = [], []
    for _ in range(given.rounds):
        ours.append(_timed(given.port, given.title, day, given.steps))
        others.append(_timed(given.bare_port, "BARE", day, given.steps))
    bare.terminate()
    ratio = statistics.median(ours) / statistics.median(others)
    print(f"first answer of {given.steps} steps: {cold:.2f} s ({cold / others[0]:.2f} times bare)")
    print(f"ours {statistics.median(ours):.2f} s, bare {statistics.median(others):.2f} s")
    print(f"ratio {ratio:.2f}, at most {_LIMIT} wanted")
    return 0 if ratio <= _LIMIT else 1


def _timed(port: int, title: str, day: str, expected: int) -> float:
    started = time.perf_counter()
    found = len(_answers(port, title, day))
    assert found >= expected, f"{found} answers; expected {expected}"
    return time.perf_counter() - started


def _answers(port: int, title: str, day: str) -> list[Dataset]:
    entity = AE(ae_title="BENCH")
    entity.add_requested_context(ModalityWorklistInformationFind)
    association = entity.associate("127.0.0.1", port, ae_title=title)
    assert association.is_established, f"{title} does not answer at {port}"
    sent = association.send_c_find(_query(day), ModalityWorklistInformationFind)
    found = [dataset for _, dataset in sent if dataset is not None]
    association.release()
    return found


def _query(day: str) -> Dataset:
    found, item = Dataset(), Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    for name in (
        "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID",
        "PatientBirthDate", "PatientSex", "StudyInstanceUID", "RequestingPhysician",
        "RequestedProcedureDescription", "AdmissionID", "RequestedProcedureID",
        "RequestedProcedurePriority",
    ):  # fmt: skip
        setattr(found, name, "")
    for name in (
        "Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartTime",
        "ScheduledPerformingPhysicianName", "ScheduledProcedureStepDescription",
        "ScheduledProcedureStepID", "ScheduledStationName", "ScheduledProcedureStepStatus",
    ):  # fmt: skip
        setattr(item, name, "")
    item.ScheduledProcedureStepStartDate = day
    found.ScheduledProcedureStepSequence = [item]
    return found


def _serve_bare(port: int, ready: list[Dataset]) -> None:
    def find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for each in ready:
            yield 0xFF00, each

    entity = AE(ae_title="BARE")
    entity.add_supported_context(ModalityWorklistInformationFind)
    entity.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_FIND, find)])


def _make_orders(base_url: str, count: int, day: str) -> None:
    time_ = f"{day[:4]}-{day[4:6]}-{day[6:]}T09:00:00Z"
    with httpx.Client(base_url=base_url.rstrip("/") + "/", timeout=120) as client:
        made = _people(client)
        ids: list[str] = []
        for start in range(0, count, _CHUNK):
            entries = [_entry("ServiceRequest", _order(*made))] * min(_CHUNK, count - start)
            ids += [each["id"] for each in _done(client, entries)]
        schedule = {
            "resourceType": "Parameters",
            "parameter": [{"name": "time", "valueDateTime": time_}],
        }
        for start in range(0, count, _CHUNK):
            some = ids[start : start + _CHUNK]
            _done(client, [_entry(f"ServiceRequest/{each}/$schedule", schedule) for each in some])


def _people(client: httpx.Client) -> tuple[str, str, str]:
    number = {"system": "http://example.org/mrn", "value": str(time.time_ns())}
    name = [{"family": "Müller", "given": ["Jörg"]}]
    patient = _created(client, "Patient", identifier=[number], name=name, birthDate="1970-01-01")
    visit = _created(
        client, "Encounter", status="in-progress", subject={"reference": patient},
        **{"class": {"system": _CLASS, "code": "AMB"}},
    )  # fmt: skip
    return patient, visit, _created(client, "Practitioner", active=True, name=name)


def _created(client: httpx.Client, type_: str, **elements: Any) -> str:
    answer = client.post(type_, json={"resourceType": type_} | elements)
    assert answer.status_code == 201, answer.text
    return f"{type_}/{answer.json()['id']}"


def _order(patient: str, visit: str, requester: str) -> dict[str, Any]:
    coding = {"system": f"{_BASE}/CodeSystem/modality", "code": "CT"}
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": f"{_BASE}/CodeSystem/order-type", "code": "imaging"}]}],
        "code": {"text": "Chest"},
        "priority": "urgent",
        "subject": {"reference": patient},
        "encounter": {"reference": visit},
        "requester": {"reference": requester},
        "reasonCode": [{"text": "Persistent cough for three weeks"}],
        "bodySite": [{"coding": [{"system": f"{_BASE}/CodeSystem/body-part", "code": "CHEST"}]}],
        "extension": [
            {"url": f"{_BASE}/StructureDefinition/order-modality", "valueCoding": coding}
        ],
    }


def _entry(url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "POST", "url": url}}


def _done(client: httpx.Client, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = client.post("", json=bundle, headers={"Prefer": "return=representation"})
    assert answer.status_code == 200, answer.text
    found = answer.json()["entry"]
    for each in found:
        assert each["response"]["status"].startswith("20"), each
    return [each["resource"] for each in found]


if __name__ == "__main__":
    sys.exit(main())
