"""What all formats of patches have in common."""

import json
from base64 import b64encode
from typing import Any

import pytest

from fhir_server.outcome import Invalid, Refusal
from fhir_server.patch import PATCH_FORMATS, PatchFailed, parse_patch, patch_in_bundle

JSON_PATCH = "application/json-patch+json"


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "a", **more}


def applied(resource: dict[str, Any], *operations: dict[str, Any]) -> Any:
    return parse_patch(JSON_PATCH, json.dumps(operations).encode())(resource)


def test_an_unknown_format_is_told_which_there_are() -> None:
    with pytest.raises(Refusal) as caught:
        parse_patch("text/plain", b"")
    assert caught.value.status == 415
    for item in PATCH_FORMATS:
        assert item.media_types[0] in caught.value.headers["Accept-Patch"]


def test_what_is_left_empty_goes_too() -> None:
    contact = [{"name": {"text": "x"}, "telecom": [{"value": "1"}]}]
    result = applied(
        patient(contact=contact),
        {"op": "remove", "path": "/contact/0/name/text"},
        {"op": "remove", "path": "/contact/0/telecom/0/value"},
    )
    assert result == patient()


def test_the_last_item_can_be_taken_out_and_another_put_in() -> None:
    result = applied(
        patient(name=[{"text": "x"}]),
        {"op": "remove", "path": "/name/0"},
        {"op": "add", "path": "/name/-", "value": {"text": "y"}},
    )
    assert result == patient(name=[{"text": "y"}])


def test_places_of_primitive_extensions_stay() -> None:
    extension = {"extension": [{"url": "urn:x", "valueCode": "y"}]}
    name = {"given": ["a", "b", "c"], "_given": [{"id": "1"}, None, extension]}
    remove = {"op": "remove", "path": "/name/0/_given/0/id"}
    result = applied(patient(name=[name]), remove)
    assert result["name"][0] == {"given": ["a", "b", "c"], "_given": [None, None, extension]}
    result = applied(result, {"op": "replace", "path": "/name/0/_given/2", "value": None})
    assert result["name"][0] == {"given": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("operation", "element"),
    [
        ({"op": "replace", "path": "/id", "value": "b"}, "Patient.id"),
        ({"op": "remove", "path": "/id"}, "Patient.id"),
        ({"op": "replace", "path": "/resourceType", "value": "Group"}, "Patient.resourceType"),
        ({"op": "remove", "path": "/resourceType"}, "Patient.resourceType"),
        ({"op": "replace", "path": "", "value": 1}, ""),
        ({"op": "replace", "path": "", "value": {}}, "Patient.resourceType"),
    ],
)
def test_identity_stays(operation: dict[str, Any], element: str) -> None:
    with pytest.raises(PatchFailed) as caught:
        applied(patient(), operation)
    assert caught.value.issues[0].expression == element


def binary(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Binary", **more}


def test_a_binary_may_hold_a_patch() -> None:
    data = b64encode(b'[{"op":"add","path":"/active","value":true}]').decode()
    spaced = data[:8] + "\n " + data[8:]
    content_type = "Application/JSON-Patch+json; charset=utf-8"
    patch = patch_in_bundle(binary(contentType=content_type, data=spaced))
    assert patch(patient()) == patient(active=True)


@pytest.mark.parametrize(
    "resource",
    [
        None,
        [],
        patient(),
        binary(),
        binary(contentType=JSON_PATCH),
        binary(contentType=JSON_PATCH, data=7),
        binary(contentType=JSON_PATCH, data="ä"),
        binary(contentType=JSON_PATCH, data="W10"),
        binary(contentType=JSON_PATCH, data="e30="),
    ],
)
def test_what_holds_no_patch_is_refused(resource: Any) -> None:
    with pytest.raises(Invalid):
        patch_in_bundle(resource)
