"""How value sets are expanded when the data are built."""

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.spec.build.package import Package
from fhir_server.spec.build.value_sets import value_sets

BASE = "http://example.org"


def expand(directory: Path, compose: dict[str, Any]) -> Any:
    resources: list[dict[str, Any]] = [
        {
            "resourceType": "CodeSystem",
            "url": f"{BASE}/CodeSystem/tree",
            "content": "complete",
            "concept": [{"code": "a", "concept": [{"code": "b"}, {"code": "c"}]}, {"code": "d"}],
        },
        {
            "resourceType": "CodeSystem",
            "url": f"{BASE}/CodeSystem/open",
            "content": "not-present",
        },
        {
            "resourceType": "ValueSet",
            "url": f"{BASE}/ValueSet/some",
            "compose": {
                "include": [
                    {"system": f"{BASE}/CodeSystem/tree", "concept": [{"code": "b"}, {"code": "d"}]}
                ]
            },
        },
        {"resourceType": "ValueSet", "url": f"{BASE}/ValueSet/this", "compose": compose},
        {"resourceType": "StructureDefinition", "url": f"{BASE}/StructureDefinition/x"},
    ]
    for number, resource in enumerate(resources):
        (directory / f"x-{number}.json").write_text(json.dumps(resource))
    binding = {"strength": "required", "value_set": f"{BASE}/ValueSet/this"}
    built = value_sets(Package(directory), [{"elements": [{"binding": binding}]}])
    return built[0]["systems"][f"{BASE}/CodeSystem/tree"] if built else None


TREE = {"system": f"{BASE}/CodeSystem/tree"}


@pytest.mark.parametrize(
    ("compose", "codes"),
    [
        ({"include": [TREE]}, ["a", "b", "c", "d"]),
        ({"include": [TREE | {"concept": [{"code": "d"}]}]}, ["d"]),
        (
            {"include": [TREE | {"filter": [{"property": "concept", "op": "is-a", "value": "a"}]}]},
            ["a", "b", "c"],
        ),
        (
            {
                "include": [
                    TREE
                    | {"filter": [{"property": "concept", "op": "descendent-of", "value": "a"}]}
                ]
            },
            ["b", "c"],
        ),
        ({"include": [{"valueSet": [f"{BASE}/ValueSet/some|1.0"]}]}, ["b", "d"]),
        (
            {
                "include": [
                    TREE
                    | {"concept": [{"code": "a"}, {"code": "b"}]}
                    | {"valueSet": [f"{BASE}/ValueSet/some"]}
                ]
            },
            ["b"],
        ),
        ({"include": [TREE], "exclude": [TREE | {"concept": [{"code": "a"}]}]}, ["b", "c", "d"]),
        ({"include": [{"system": f"{BASE}/CodeSystem/open"}]}, None),
        ({"include": [{"valueSet": [f"{BASE}/ValueSet/unknown"]}]}, None),
        ({"include": [TREE | {"filter": [{"property": "x", "op": "=", "value": "y"}]}]}, None),
    ],
)  # fmt: skip
def test_compose_is_expanded_or_given_up(
    tmp_path: Path, compose: dict[str, Any], codes: list[str] | None
) -> None:
    assert expand(tmp_path, compose) == codes
