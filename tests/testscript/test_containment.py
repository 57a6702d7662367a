from typing import Any

import pytest

from fhir_server.conformance.containment import missing
from fhir_server.conformance.navigation import faults


@pytest.mark.parametrize(
    ("minimum", "actual", "lacking"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, ["x.a: expected 1, found 2"]),
        ({"a": 1}, {}, ["x.a: is missing"]),
        ({"a": True}, {"a": 1}, ["x.a: expected True, found 1"]),
        ({"a": {}}, {"a": "b"}, ["x.a: expected an object"]),
        ({"a": [1]}, {"a": 1}, ["x.a: expected an array"]),
        ({"a": [2, 1]}, {"a": [1, 2, 3]}, []),
        ({"a": [1, 1]}, {"a": [1, 2]}, ["x.a[1]: no item of 2 has all of it"]),
        ({"a": [{}, {"b": 1}]}, {"a": [{"b": 1}, {"c": 1}]}, []),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["x.a[0].b: expected 1, found 2"]),
    ],
)
def test_what_is_missing_is_told_by_its_place(
    minimum: Any, actual: Any, lacking: list[str]
) -> None:
    assert list(missing(minimum, actual, "x")) == lacking


def bundle(total: int | None, entries: int, *relations: str) -> dict[str, Any]:
    links = [{"relation": each, "url": "http://test/x"} for each in relations]
    made = {"resourceType": "Bundle", "link": links, "entry": [{}] * entries}
    return made if total is None else made | {"total": total}


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        (bundle(0, 0, "self"), 0),
        (bundle(2, 2), 0),
        (bundle(5, 2, "self", "first", "next", "last"), 0),
        (bundle(5, 2, "self"), 3),
        (bundle(None, 2, "self", "next"), 2),
        (bundle(5, 1, "first", "last", "previous"), 0),
        (bundle(2, 2, "self", "self"), 1),
        (bundle(2, 2) | {"link": [{"relation": "self"}]}, 1),
        ({"resourceType": "Patient"}, 1),
    ],
)
def test_links_that_pages_need(page: dict[str, Any], wrong: int) -> None:
    assert len(list(faults(page))) == wrong
