"""Every way in which data can leave: what somebody may not see does not, and nothing tells of it.

Ann and Bob are patients. Whoever asks has a token for Ann's data alone (`patient/*.cruds`), and the
role of a doctor, who without that token could see both.
"""

from typing import Any

import httpx
import pytest

from fhir_server.search.settle import Settling
from tests.security.conftest import As
from tests.tokens import BASE

SECRET = "Zymurgeist"
ANN, BOB = "ann", "bob"


def patient(id_: str, family: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id_,
        "active": True,
        "name": [{"family": family}],
        "identifier": [{"system": "urn:mrn", "value": f"mrn-{id_}"}],
    }


def observation(id_: str, whose: str, value: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"system": "urn:c", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "urn:s", "code": "x"}], "text": value},
        "subject": {"reference": f"Patient/{whose}"},
        "effectiveDateTime": "2026-03-01",
        "valueString": value,
        **more,
    }


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    answer = await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text


@pytest.fixture(scope="module")
async def admin(someone: As) -> httpx.AsyncClient:
    client = someone("administrator")
    await put(client, patient(ANN, "Archer"))
    await put(client, patient(BOB, SECRET))
    await put(client, observation("of-ann", ANN, "plain"))
    await put(client, observation("of-bob", BOB, SECRET))
    await put(client, observation("moved", BOB, SECRET))
    await put(client, observation("moved", ANN, "now of Ann"))
    await put(client, observation("gone", BOB, SECRET))
    assert (await client.delete("Observation/gone")).status_code in (200, 204)
    member = {"reference": "Observation/of-bob"}
    await put(client, observation("panel", ANN, "panel", hasMember=[member]))
    derived = {"reference": "Observation/of-ann"}
    await put(client, observation("derived", BOB, SECRET, derivedFrom=[derived]))
    await put(client, {"resourceType": "Practitioner", "id": "p", "name": [{"family": "Dr"}]})
    await put(client, {"resourceType": "Basic", "id": "b", "code": {"text": SECRET},
                       "subject": {"reference": "Patient/bob"}})  # fmt: skip
    return client


@pytest.fixture(scope="module")
def app_of_ann(someone: As, admin: httpx.AsyncClient) -> httpx.AsyncClient:
    return someone("doctor", scope="launch/patient patient/*.cruds", patient=ANN)


def silent(answer: httpx.Response) -> None:
    assert SECRET not in answer.text
    assert "bob" not in answer.text.replace(str(answer.request.url), "").casefold()


async def same(app: httpx.AsyncClient, hidden: str, absent: str, **more: Any) -> None:
    """What is hidden answers as what never was, but for its name."""
    method = more.pop("method", "GET")
    first = await app.request(method, hidden, **more)
    second = await app.request(method, absent, **more)
    assert first.status_code == second.status_code
    names = {hidden.split("/")[1].split("?")[0]: "X", absent.split("/")[1].split("?")[0]: "X"}
    texts = []
    for answer in (first, second):
        text = answer.text
        for name, other in names.items():
            text = text.replace(name, other)
        texts.append(text)
    assert texts[0] == texts[1]
    unlike = {"x-request-id", "date", "content-length"}
    assert {k: v for k, v in first.headers.items() if k not in unlike} == {
        k: v for k, v in second.headers.items() if k not in unlike
    }


async def test_what_is_granted_is_seen(app_of_ann: httpx.AsyncClient) -> None:
    for path in ("Patient/ann", "Observation/of-ann", "Practitioner/p"):
        assert (await app_of_ann.get(path)).status_code == 200, path
    found = (await app_of_ann.get("Observation?_count=50")).json()
    ids = {each["resource"]["id"] for each in found["entry"]}
    assert ids == {"of-ann", "moved", "panel"}


@pytest.mark.parametrize("id_", ["of-bob", "gone"])
@pytest.mark.parametrize("place", ["", "/_history", "/_history/1", "/_history/2"])
async def test_reading_answers_as_for_what_never_was(
    app_of_ann: httpx.AsyncClient, id_: str, place: str
) -> None:
    await same(app_of_ann, f"Observation/{id_}{place}", f"Observation/never{place}")


async def test_conditional_reads_tell_nothing(app_of_ann: httpx.AsyncClient) -> None:
    headers = {"If-None-Match": 'W/"1"'}
    await same(app_of_ann, "Observation/of-bob", "Observation/never", headers=headers)


async def test_former_versions_of_another_patient_stay_hidden(
    app_of_ann: httpx.AsyncClient,
) -> None:
    assert (await app_of_ann.get("Observation/moved/_history/1")).status_code == 404
    history = await app_of_ann.get("Observation/moved/_history")
    silent(history)
    assert [each["resource"]["meta"]["versionId"] for each in history.json()["entry"]] == ["2"]
    assert "total" not in history.json()
    for query in ("_summary=count", "_count=0"):
        counted = await app_of_ann.get(f"Observation/moved/_history?{query}")
        assert counted.status_code == 403
        silent(counted)


@pytest.mark.parametrize("path", ["_history", "Observation/_history"])
async def test_histories_of_everybody_are_refused(app_of_ann: httpx.AsyncClient, path: str) -> None:
    answer = await app_of_ann.get(path)
    assert answer.status_code == 403
    silent(answer)


@pytest.mark.parametrize(
    "query",
    [
        f"name={SECRET}",
        "identifier=urn:mrn|mrn-bob",
        "_id=bob",
        "active=true",
        f"family:exact={SECRET}",
        f"family:contains={SECRET[2:6]}",
        f"name:text={SECRET}",
        f"_content={SECRET}",
        f'_filter=name eq "{SECRET}"',
        "_lastUpdated=gt2020",
        f"_has:Observation:patient:value-string={SECRET}",
        "_has:Observation:patient:_id=of-bob",
        "_sort=-family",
        "_type=Patient",
        "_security:missing=true",
        "link:missing=true",
    ],
)
@pytest.mark.parametrize("total", ["none", "estimate", "accurate"])
async def test_searches_find_only_what_is_granted(
    app_of_ann: httpx.AsyncClient, query: str, total: str
) -> None:
    for path in ("Patient", ""):
        answer = await app_of_ann.get(f"{path}?{query}&_total={total}")
        if answer.status_code == 400:
            continue
        assert answer.status_code == 200, answer.text
        entries = [e["resource"] for e in answer.json().get("entry", ())]
        assert {e["id"] for e in entries if e["resourceType"] == "Patient"} <= {ANN}
        assert SECRET not in "".join(map(str, entries))
        if total != "none" and path:
            assert answer.json()["total"] <= 1


@pytest.mark.parametrize(
    "query",
    [
        f"subject:Patient.name={SECRET}",
        "patient.identifier=urn:mrn|mrn-bob",
        f"has-member.value-string={SECRET}",
        "has-member.status=final",
        f"_has:Observation:derived-from:value-string={SECRET}",
        "_has:Observation:derived-from:status=final",
        "subject=Patient/bob",
        "patient=bob",
        f"value-string={SECRET}",
        f"code:text={SECRET}",
        "patient:Patient._id=bob",
    ],
)
async def test_chains_do_not_tell_of_what_lies_on_the_way(
    app_of_ann: httpx.AsyncClient, query: str
) -> None:
    found = (await app_of_ann.get(f"Observation?{query}&_total=accurate")).json()
    assert found["total"] == 0
    counted = (await app_of_ann.get(f"Observation?{query}&_summary=count")).json()
    assert counted["total"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "_include=Observation:has-member",
        "_revinclude=Observation:derived-from",
        "_include=*&_revinclude=*",
        "_include:iterate=*&_revinclude:iterate=*",
    ],
)
async def test_what_comes_along_is_granted(app_of_ann: httpx.AsyncClient, query: str) -> None:
    answer = await app_of_ann.get(f"Observation?{query}")
    assert answer.status_code == 200
    found = {e["resource"]["id"] for e in answer.json()["entry"]}
    assert found <= {"of-ann", "moved", "panel", ANN, "p"}
    assert SECRET not in answer.text


async def test_compartments_of_others_are_empty(app_of_ann: httpx.AsyncClient) -> None:
    for path in ("Patient/bob/Observation", "Patient/bob/*"):
        answer = await app_of_ann.get(f"{path}?_total=accurate")
        assert answer.json()["total"] == 0


async def test_everything_is_of_the_own_patient(app_of_ann: httpx.AsyncClient) -> None:
    await same(app_of_ann, "Patient/bob/$everything", "Patient/never/$everything")
    own = await app_of_ann.get("Patient/ann/$everything")
    assert own.status_code == 200
    assert SECRET not in own.text


@pytest.mark.parametrize(
    "path",
    [
        "Observation/$lastn?patient=Patient/bob&category=urn:c|laboratory",
        "Observation/$lastn?patient=Patient/ann&category=urn:c|laboratory",
        "Observation/of-bob/$meta",
        "Observation/$meta",
        "$meta",
        "Communication/$replay",
        "ServiceRequest/x/$timeline",
    ],
)
async def test_operations_tell_nothing_of_others(app_of_ann: httpx.AsyncClient, path: str) -> None:
    answer = await app_of_ann.get(path)
    assert answer.status_code < 500
    assert SECRET not in answer.text


async def test_explanations_count_only_what_is_granted(app_of_ann: httpx.AsyncClient) -> None:
    answer = await app_of_ann.get("Observation?status=final&_explain=true")
    matches = [p for p in answer.json()["parameter"] if p["name"] == "matchesOnPage"]
    assert matches[0]["valueInteger"] == 3
    assert SECRET not in answer.text


async def test_a_cursor_of_somebody_else_shows_no_more(
    app_of_ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    page = (await admin.get("Observation?_count=1")).json()
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    answer = await app_of_ann.get(following.removeprefix(BASE + "/"))
    assert SECRET not in answer.text


async def test_batches_and_transactions_ask_for_each_entry(app_of_ann: httpx.AsyncClient) -> None:
    urls = ["Observation/of-bob", "Patient/bob", "Patient?name=Z", "Observation/moved/_history/1"]
    for kind in ("batch", "transaction"):
        entries = [{"request": {"method": "GET", "url": url}} for url in urls]
        bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
        answer = await app_of_ann.post("", json=bundle)
        assert SECRET not in answer.text
        if kind == "batch":
            statuses = [e["response"]["status"][:3] for e in answer.json()["entry"]]
            assert statuses == ["404", "404", "200", "404"]


async def test_writing_to_what_is_hidden_answers_as_to_what_never_was(
    app_of_ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for id_ in ("of-bob", "never"):
        changed = observation(id_, ANN, "stolen")
        answer = await app_of_ann.put(f"Observation/{id_}", json=changed)
        assert answer.status_code == 403
    await same(app_of_ann, "Observation/of-bob", "Observation/never", method="DELETE")
    patch = [{"op": "replace", "path": "/status", "value": "amended"}]
    headers = {"Content-Type": "application/json-patch+json"}
    await same(
        app_of_ann, "Observation/of-bob", "Observation/never",
        method="PATCH", json=patch, headers=headers,
    )  # fmt: skip
    assert (await admin.get("Observation/of-bob")).json()["valueString"] == SECRET


async def test_transactions_do_not_write_what_is_hidden(
    app_of_ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for method, resource in (("PUT", observation("of-bob", ANN, "stolen")), ("DELETE", None)):
        entry: dict[str, Any] = {"request": {"method": method, "url": "Observation/of-bob"}}
        if resource:
            entry["resource"] = resource
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        answer = await app_of_ann.post("", json=bundle)
        assert answer.status_code == 403
        assert SECRET not in answer.text
    assert (await admin.get("Observation/of-bob")).json()["valueString"] == SECRET


async def test_nothing_can_be_written_for_somebody_else(app_of_ann: httpx.AsyncClient) -> None:
    answer = await app_of_ann.post("Observation", json=observation("new", BOB, "x"))
    assert answer.status_code == 403
    moved = await app_of_ann.put("Observation/of-ann", json=observation("of-ann", BOB, "x"))
    assert moved.status_code == 403
    own = await app_of_ann.post("Observation", json=observation("new", ANN, "x"))
    assert own.status_code == 201


async def test_conditional_writes_match_only_what_is_granted(
    app_of_ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    headers = {"If-None-Exist": f"value-string={SECRET}"}
    own = observation("x", ANN, "conditional")
    answer = await app_of_ann.post("Observation", json=own, headers=headers)
    assert answer.status_code == 201
    deleted = await app_of_ann.delete(f"Observation?value-string={SECRET}")
    assert deleted.status_code in (200, 204)
    assert (await admin.get("Observation/of-bob")).status_code == 200
    reference = observation("y", ANN, "z")
    reference["subject"] = {"reference": "Patient?identifier=urn:mrn|mrn-bob"}
    refused = await app_of_ann.post("Observation", json=reference)
    assert refused.status_code == 400
    assert "matches no resource" in refused.text


async def test_without_a_token_there_is_nothing_but_the_capabilities(someone: As) -> None:
    nobody = someone()
    assert (await nobody.get("metadata")).status_code == 200
    for path in ("Patient/ann", "Patient", "_history", "$meta", "Patient/never", "Nonsense"):
        answer = await nobody.get(path)
        assert answer.status_code in (401, 404), path
        assert SECRET not in answer.text
    answer = await nobody.get("Patient/ann")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_is_hidden_takes_the_database_as_long_as_what_never_was(
    app_of_ann: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Neither is read: one statement tells that there is nothing, the same for both."""
    asked: list[str] = []
    rows = Settling.rows

    async def counted(self: Settling, what: str, *given: Any, **more: Any) -> Any:
        asked.append(what)
        return await rows(self, what, *given, **more)

    async def read(*_: Any) -> Any:
        raise AssertionError("what may not be seen is read")

    monkeypatch.setattr(Settling, "rows", counted)
    monkeypatch.setattr("fhir_server.storage.resources.read", read)
    monkeypatch.setattr("fhir_server.storage.resources.current", read)
    for id_ in ("of-bob", "gone", "never"):
        answer = await app_of_ann.request(method, f"Observation/{id_}")
        assert answer.status_code == (404 if method == "GET" else 403)
    assert asked == ["one resource"] * 3
