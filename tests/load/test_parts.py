import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.load import parts
from fhir_server.load.parts import Part, Unloadable, cut, identifiers
from fhir_server.load.sources import Source


def source(tmp_path: Path, content: bytes | str | dict[str, Any], name: str = "a.json") -> Source:
    path = tmp_path / name
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Source(path, None, path.stat().st_size, named=True)


def bundle(type_: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


def patient(id_: str | None = None, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient"} | ({"id": id_} if id_ else {}) | more


def entry(method: str, url: str, resource: dict[str, Any], **request: str) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": method, "url": url} | request}


def sent(part: Part) -> Any:
    return json.loads(part.body)


@pytest.mark.parametrize("type_", ["transaction", "batch"])
def test_bundle_of_requests_is_sent_byte_for_byte(type_: str, tmp_path: Path) -> None:
    text = json.dumps(bundle(type_, entry("POST", "Patient", patient())), indent=3) + "\n"
    (part,) = cut(source(tmp_path, text))
    assert (part.method, part.path, part.body) == ("POST", "", text.encode())
    assert part.atomic == (type_ == "transaction")


@pytest.mark.parametrize(
    ("request_", "repeatable"),
    [
        ({"method": "PUT", "url": "Patient/1"}, True),
        ({"method": "DELETE", "url": "Patient/1"}, True),
        ({"method": "POST", "url": "Patient", "ifNoneExist": "identifier=s|1"}, True),
        ({"method": "POST", "url": "Patient"}, False),
        ({"method": "PATCH", "url": "Patient/1"}, False),
    ],
)
def test_only_requests_that_can_be_repeated_count_as_such(
    request_: dict[str, str], repeatable: bool, tmp_path: Path
) -> None:
    harmless = entry("PUT", "Patient/0", patient("0"))
    content = bundle("transaction", harmless, {"resource": patient(), "request": request_})
    (part,) = cut(source(tmp_path, content))
    assert part.repeatable == repeatable


def test_resource_with_an_id_is_put_and_one_without_is_posted(tmp_path: Path) -> None:
    (with_id,) = cut(source(tmp_path, patient("a.b")))
    (without,) = cut(source(tmp_path, patient()))
    assert (with_id.method, with_id.path, with_id.repeatable) == ("PUT", "/Patient/a.b", True)
    assert (without.method, without.path, without.repeatable) == ("POST", "/Patient", False)


def test_id_that_is_no_id_cannot_lead_elsewhere(tmp_path: Path) -> None:
    (part,) = cut(source(tmp_path, patient("../Group?x#y")))
    assert part.path == "/Patient/..%2FGroup%3Fx%23y"


@pytest.mark.parametrize("type_", ["collection", "searchset", "document"])
def test_bundle_of_resources_is_put_in_batches(type_: str, tmp_path: Path) -> None:
    count = parts.BATCH_ENTRIES + 3
    content = bundle(type_, *({"resource": patient(f"p{i}")} for i in range(count)))
    first, second = cut(source(tmp_path, content))
    assert [len(sent(part)["entry"]) for part in (first, second)] == [parts.BATCH_ENTRIES, 3]
    assert sent(second)["type"] == "batch"
    assert sent(second)["entry"][2] == entry(
        "PUT", f"Patient/p{count - 1}", patient(f"p{count - 1}")
    )
    assert second.entries[2].position == count - 1


def test_resources_without_ids_stay_together_and_keep_their_full_url(tmp_path: Path) -> None:
    content = bundle(
        "collection",
        {"fullUrl": "urn:uuid:1", "resource": patient()},
        {"fullUrl": "urn:uuid:2", "resource": patient("b", link=[{"other": {"reference": "1"}}])},
    )
    (part,) = cut(source(tmp_path, content))
    assert part.atomic
    assert [(e["fullUrl"], e["request"]["method"]) for e in sent(part)["entry"]] == [
        ("urn:uuid:1", "POST"),
        ("urn:uuid:2", "PUT"),
    ]


def test_outcome_of_a_search_is_not_stored(tmp_path: Path) -> None:
    found = {"resource": patient("1"), "search": {"mode": "match"}}
    told = {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}}
    (part,) = cut(source(tmp_path, bundle("searchset", found, told)))
    assert [e["request"]["url"] for e in sent(part)["entry"]] == ["Patient/1"]


def test_digits_and_escapes_of_a_resource_pass_unchanged(tmp_path: Path) -> None:
    resource = '{"resourceType":"Observation","id":"1","v": 1.00, "t":"\\u00e9\\/","n":1E-22}'
    line = f'{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{resource}}}]}}'
    (from_bundle,) = cut(source(tmp_path, line))
    (from_line,) = cut(source(tmp_path, resource + "\n", "a.ndjson"))
    assert resource.encode() in from_bundle.body
    assert resource.encode() in from_line.body


def test_lines_are_batched_by_count(tmp_path: Path) -> None:
    lines = "".join(json.dumps(patient(f"p{i}")) + "\n" for i in range(parts.BATCH_ENTRIES + 1))
    first, second = cut(source(tmp_path, lines, "a.ndjson"))
    assert (len(first.entries), len(second.entries)) == (parts.BATCH_ENTRIES, 1)
    assert second.entries[0].position == parts.BATCH_ENTRIES + 1
    assert (first.index, second.index) == (0, 1)
    assert first.read + second.read == len(lines)


def test_lines_are_batched_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "BATCH_BYTES", 100)
    lines = "".join(json.dumps(patient("p", t="x" * 90)) + "\n" for _ in range(3))
    assert [len(part.entries) for part in cut(source(tmp_path, lines, "a.ndjson"))] == [1, 1, 1]


def test_bad_lines_are_named_and_the_others_sent(tmp_path: Path) -> None:
    lines = '{"resourceType":"Patient"\n\n{"a":1}\n{"resourceType":"Patient","id":"1"}\n'
    (part,) = cut(source(tmp_path, lines, "a.ndjson"))
    assert [number for number, _ in part.refused] == [1, 3]
    assert "not readable" in part.refused[0][1]
    assert part.refused[1][1] == "no resourceType"
    assert [e.position for e in part.entries] == [4]


def test_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (part,) = cut(source(tmp_path, b"\xef\xbb\xbf" + json.dumps(patient("1")).encode()))
    assert part.body.startswith(b"{")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"resourceType":"Patient"', "truncated"),
        ("[]", "Expected `object`"),
        ('{"resourceType":"Bundle","type":"history"}', "'history'"),
        ('{"resourceType":"Bundle"}', "type ''"),
        ('{"resourceType":"Patient","id":7}', r"\$\.id"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(
    content: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(Unloadable, match=reason) as refused:
        list(cut(source(tmp_path, content)))
    assert refused.value.is_fhir


def test_json_of_something_else_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Unloadable, match="no resourceType") as refused:
        list(cut(source(tmp_path, {"name": "hl7.fhir.r4.examples"})))
    assert not refused.value.is_fhir


def test_batch_can_be_sent_again_with_only_some_entries(tmp_path: Path) -> None:
    content = bundle("batch", *(entry("POST", "Patient", patient(tag=i)) for i in range(4)))
    (part,) = cut(source(tmp_path, content))
    rest = part.only(frozenset({1, 3}))
    assert sent(rest) == bundle("batch", content["entry"][1], content["entry"][3])
    assert [e.position for e in rest.entries] == [1, 3]


def test_transaction_is_never_cut(tmp_path: Path) -> None:
    content = bundle("transaction", *(entry("POST", "Patient", patient()) for _ in range(4)))
    (part,) = cut(source(tmp_path, content))
    assert part.only(frozenset({1})) is part


def test_identifiers_of_what_is_created_are_evidence(tmp_path: Path) -> None:
    known = patient(identifier=[{"value": "no system"}, {"system": "s", "value": "1"}])
    matched = entry("POST", "Patient", known, ifNoneExist="identifier=s|1")
    put = entry("PUT", "Patient/1", known)
    shaped_otherwise = entry("POST", "Bundle", {"resourceType": "Bundle", "identifier": {}})
    created = entry("POST", "Patient", known)
    (part,) = cut(source(tmp_path, bundle("transaction", matched, put, shaped_otherwise, created)))
    assert list(identifiers(part)) == [("Patient", "s|1")]
