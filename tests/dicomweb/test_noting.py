"""What viewers get, in the audit trail."""

from typing import Any

from tests.dicomweb.conftest import Viewer

Json = dict[str, Any]


def events(viewer: Viewer, query: str) -> list[Json]:
    answer = viewer.client.get(f"{viewer.root}/fhir/AuditEvent?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def test_what_was_got_and_found_of_a_study_is_told(viewer: Viewer) -> None:
    uid = viewer.scan.study
    assert viewer.client.get(f"{viewer.base}/studies/{uid}/metadata").status_code == 200
    (event,) = events(viewer, f"entity=ImagingStudy/{uid}&subtype=dicomweb-metadata")
    assert event["type"]["code"] == "110103"
    assert event["action"] == "R"
    assert event["entity"][0]["what"] == {"reference": f"ImagingStudy/{uid}"}
    assert viewer.client.get(f"{viewer.base}/studies").status_code == 200
    (event, *_) = events(viewer, f"entity=ImagingStudy/{uid}&subtype=dicomweb-find-studies")
    assert event["action"] == "E"


def test_what_may_not_be_got_is_told_too(viewer: Viewer) -> None:
    assert viewer.client.get(f"{viewer.base}/studies/1.2.3/metadata").status_code == 404
    (event,) = events(viewer, "entity=ImagingStudy/1.2.3&subtype=dicomweb-metadata")
    assert (event["outcome"], event["outcomeDesc"]) == ("4", "not-found 404")
