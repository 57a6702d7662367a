"""JSON Patch on plain JSON values (RFC 6902)."""

import copy
import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir_json import encode
from fhir_server.outcome import Invalid, Refusal
from fhir_server.patch import PatchFailed
from fhir_server.patch.json_patch import read_json_patch

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "active": True,
    "name": [{"family": "Chalmers", "given": ["Peter", "James"]}],
}


def applied(resource: Any, *operations: Any) -> Any:
    patch = read_json_patch(json.dumps(operations).encode())
    return patch(copy.deepcopy(resource))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/name/0/given/1", "value": "Jim"}, ["Peter", "Jim", "James"]),
        ({"op": "add", "path": "/name/0/given/-", "value": "Jim"}, ["Peter", "James", "Jim"]),
        ({"op": "remove", "path": "/name/0/given/0"}, ["James"]),
        ({"op": "replace", "path": "/name/0/given/1", "value": "Jim"}, ["Peter", "Jim"]),
        (
            {"op": "move", "from": "/name/0/given/1", "path": "/name/0/given/0"},
            ["James", "Peter"],
        ),
        (
            {"op": "copy", "from": "/name/0/given/0", "path": "/name/0/given/-"},
            ["Peter", "James", "Peter"],
        ),
        ({"op": "test", "path": "/name/0/given/0", "value": "Peter"}, ["Peter", "James"]),
    ],
)
def test_each_operation_changes_what_it_names(
    operation: dict[str, Any], expected: list[str]
) -> None:
    result = applied(PATIENT, operation)
    assert result["name"][0].pop("given") == expected
    assert result == PATIENT | {"name": [{"family": "Chalmers"}]}


def test_decimals_keep_their_digits() -> None:
    patch = read_json_patch(b'[{"op": "add", "path": "/value", "value": 1.50}]')
    assert encode(patch({"low": Decimal("2.00")})) == b'{"low":2.00,"value":1.50}'


def test_numbers_are_compared_as_numbers_and_never_with_booleans() -> None:
    patch = read_json_patch(b'[{"op": "test", "path": "/v", "value": 1.0}]')
    assert patch({"v": 1}) == {"v": 1}
    assert patch({"v": Decimal("1.00")})
    with pytest.raises(PatchFailed):
        patch({"v": True})
    with pytest.raises(PatchFailed):
        patch({"v": "1.0"})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/gender"},
        {"op": "remove", "path": "/name/1"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/gender", "value": "male"},
        {"op": "replace", "path": "/name/-", "value": {}},
        {"op": "add", "path": "/name/2", "value": {}},
        {"op": "add", "path": "/name/01", "value": {}},
        {"op": "add", "path": "/name/" + "9" * 5000, "value": {}},
        {"op": "add", "path": "/contact/0/gender", "value": "male"},
        {"op": "add", "path": "/active/x", "value": 1},
        {"op": "test", "path": "/name/0/family/0", "value": "C"},
        {"op": "test", "path": "/gender", "value": None},
        {"op": "move", "from": "/gender", "path": "/active"},
        {"op": "move", "from": "/name", "path": "/name/0"},
        {"op": "copy", "from": "/name/7", "path": "/contact"},
        {"op": "copy", "from": "/name/-", "path": "/contact"},
    ],
)
def test_what_cannot_be_applied_fails_with_the_index_of_its_operation(
    operation: dict[str, Any],
) -> None:
    with pytest.raises(PatchFailed) as caught:
        applied(PATIENT, {"op": "test", "path": "/active", "value": True}, operation)
    assert caught.value.status == 422
    told = caught.value.issues[0].diagnostics
    assert told.startswith(f"Operation 1: {operation['op']}")
    assert len(told) < 700


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (
            {"op": "test", "path": "/name/0/family", "value": 1},
            "test '/name/0/family': it is \"Chalmers\"; expected 1",
        ),
        (
            {"op": "test", "path": "/name/1/family", "value": 1},
            "test '/name/1/family': there is no '/name/1'",
        ),
        ({"op": "remove", "path": "/active/x"}, "remove '/active/x': there is no '/active/x'"),
        (
            {"op": "add", "path": "/contact/0/gender", "value": "male"},
            "add '/contact/0/gender': there is no '/contact'",
        ),
        (
            {"op": "move", "from": "/a~1b/c", "path": "/name"},
            "move '/name': there is no '/a~1b'",
        ),
        (
            {"op": "replace", "path": "/name/-", "value": 1},
            "replace '/name/-': there is no '/name/-'",
        ),
        (
            {"op": "move", "from": "/name", "path": "/name/0"},
            "move '/name/0': Cannot move values into their own children",
        ),
    ],
)
def test_a_failure_tells_what_was_found_and_what_was_expected(
    operation: dict[str, Any], told: str
) -> None:
    with pytest.raises(PatchFailed) as caught:
        applied(PATIENT, operation)
    assert caught.value.issues[0].diagnostics == f"Operation 0: {told}"


def test_a_failure_does_not_show_the_resource() -> None:
    with pytest.raises(PatchFailed) as caught:
        applied(PATIENT, {"op": "test", "path": "/nonsense", "value": "x"})
    assert "Chalmers" not in caught.value.issues[0].diagnostics


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ("add", "expected an object"),
        ({}, "op is None"),
        ({"op": "ADD", "path": "/a", "value": 1}, "op is 'ADD'"),
        ({"op": ["add"], "path": "/a", "value": 1}, "op is ['add']"),
        ({"op": "add", "value": 1}, "path is None"),
        ({"op": "add", "path": "a", "value": 1}, "path is 'a'"),
        ({"op": "add", "path": "/a~2", "value": 1}, "path is '/a~2'"),
        ({"op": "add", "path": "/a"}, "add has no value"),
        ({"op": "move", "path": "/a"}, "from is None"),
    ],
)
def test_what_is_no_operation_is_refused_with_its_index(operation: Any, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        applied(PATIENT, {"op": "remove", "path": "/active"}, operation)
    assert caught.value.status == 400
    assert caught.value.issues[0].diagnostics.startswith(f"Operation 1: {told}")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"1", b"null", b"\xff"])
def test_what_is_no_array_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        read_json_patch(data)


def test_copies_of_the_whole_into_itself_are_bounded() -> None:
    bomb = [{"op": "copy", "from": "", "path": f"/x{number}"} for number in range(60)]
    with pytest.raises(Refusal) as caught:
        applied(PATIENT, *bomb)
    assert caught.value.status == 413


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(Refusal) as caught:
        applied(PATIENT, *[{"op": "test", "path": "", "value": 1}] * 5001)
    assert caught.value.status == 413


def test_endless_nesting_is_refused() -> None:
    deeper = {"op": "move", "from": "/name", "path": "/box/0/name"}
    box = {"op": "add", "path": "/box", "value": [{}]}
    back = {"op": "move", "from": "/box", "path": "/name"}
    again = {"op": "copy", "from": "/name", "path": "/other"}
    with pytest.raises(PatchFailed):
        applied(PATIENT, *[box, deeper, back] * 600, again)


pointers = st.lists(
    st.sampled_from(["name", "given", "0", "1", "-", "family", "active", "~0", "id", "x", "01"]),
    max_size=5,
).map(lambda parts: "".join("/" + part for part in parts))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
    optional={"path": pointers | values, "from": pointers | values, "value": values},
)


@given(st.lists(operations | values, max_size=6))
def test_no_patch_does_anything_but_apply_or_be_refused(patch: list[Any]) -> None:
    with suppress(Invalid, PatchFailed):
        applied(PATIENT, *patch)
