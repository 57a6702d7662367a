"""How resources of packages are stored and removed."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from fhir_server.load.parts import BATCH_BYTES, BATCH_ENTRIES, Entry
from fhir_server.package_command.entries import batches, removed, stored
from fhir_server.package_command.tags import SYSTEM

Json = dict[str, Any]
VALUE_SET = {"resourceType": "ValueSet", "id": "v", "url": "http://x/v", "version": "1"}


def tag(code: str, system: str = SYSTEM) -> Json:
    return {"system": system, "code": code}


def content(entry: Entry | None) -> Json:
    assert entry is not None
    found: Json = json.loads(entry.content)
    return found


@pytest.mark.parametrize(
    ("given", "condition"),
    [
        ({}, {"url": ["http://x/v"], "version": ["1"]}),
        ({"version": "1,2|$"}, {"url": ["http://x/v"], "version": [r"1\,2\|\$"]}),
        ({"url": "http://x/v&a=b c"}, {"url": ["http://x/v&a=b c"], "version": ["1"]}),
    ],
)
def test_definition_is_updated_by_url_and_version_without_its_id(
    given: Json, condition: Json
) -> None:
    found = content(stored(0, VALUE_SET | given, {"a#1"}))
    type_, _, query = found["request"]["url"].partition("?")
    assert (found["request"]["method"], type_) == ("PUT", "ValueSet")
    assert parse_qs(query) == condition
    assert "id" not in found["resource"]
    assert found["resource"]["meta"]["tag"] == [tag("a#1")]


def test_definition_without_version_is_not_taken_for_one_with_a_version() -> None:
    resource = {key: value for key, value in VALUE_SET.items() if key != "version"}
    url = content(stored(0, resource, {"a#1"}))["request"]["url"]
    assert parse_qs(url.partition("?")[2]) == {
        "url": ["http://x/v"],
        "version:missing": ["true"],
    }


def test_what_has_no_url_is_updated_by_its_id() -> None:
    found = content(stored(0, {"resourceType": "Patient", "id": "p"}, {"a#1"}))
    assert found["request"] == {"method": "PUT", "url": "Patient/p"}
    assert stored(0, {"resourceType": "Patient"}, {"a#1"}) is None


def test_own_tags_and_profiles_stay() -> None:
    meta = {"profile": ["http://x/p"], "tag": [tag("t", "http://x/tags"), tag("old#1")]}
    given = {"resourceType": "Patient", "id": "p", "meta": meta}
    assert content(stored(0, given, {"a#1"}))["resource"]["meta"] == {
        "profile": ["http://x/p"],
        "tag": [tag("t", "http://x/tags"), tag("a#1")],
    }
    assert meta["tag"] == [tag("t", "http://x/tags"), tag("old#1")]


def test_what_another_package_has_too_is_kept_for_it() -> None:
    both = VALUE_SET | {"meta": {"tag": [tag("a#1"), tag("b#1")]}}
    found = content(removed(0, both, "a#1"))
    assert found["request"] == {"method": "PUT", "url": "ValueSet/v"}
    assert found["resource"]["meta"]["tag"] == [tag("b#1")]
    alone = VALUE_SET | {"meta": {"tag": [tag("a#1")]}}
    assert content(removed(0, alone, "a#1"))["request"] == {"method": "DELETE", "url": "ValueSet/v"}


def test_batches_are_bounded_by_number_and_size() -> None:
    small = [Entry(n, "PUT", True, b"x") for n in range(BATCH_ENTRIES + 1)]
    assert [len(part.entries) for part in batches(small)] == [BATCH_ENTRIES, 1]
    large = [Entry(n, "PUT", True, b"x" * (BATCH_BYTES // 2)) for n in range(3)]
    assert [len(part.entries) for part in batches(large)] == [2, 1]
    assert list(batches([])) == []
