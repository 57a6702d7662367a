"""JSON Merge Patch, by the examples of RFC 7396 appendix A and on resources."""

import copy
from typing import Any

import pytest

from fhir_server.outcome import Invalid
from fhir_server.patch.merge_patch import merged, read_merge_patch


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_standard(target: Any, patch: Any, expected: Any) -> None:
    assert merged(copy.deepcopy(target), patch) == expected


@pytest.mark.parametrize("data", [b"[]", b"null", b'"x"', b"{", b""])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        read_merge_patch(data)


def test_a_patch_can_be_applied_again_to_another_version() -> None:
    patch = read_merge_patch(b'{"maritalStatus": {"text": "x"}}')
    first: Any = patch({"maritalStatus": {"id": "1"}})
    first["maritalStatus"]["text"] = "changed afterwards"
    assert patch({}) == {"maritalStatus": {"text": "x"}}
