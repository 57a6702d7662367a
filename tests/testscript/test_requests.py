import base64
from typing import Any

import pytest

from fhir_server.conformance.content import Content, Held
from fhir_server.conformance.model import Operation, Variable
from fhir_server.conformance.requests import CannotBuild, Sources, request
from fhir_server.conformance.values import Values

PATIENT = {"resourceType": "Patient", "id": "p", "meta": {"versionId": "3"}}
CONTENTS: dict[str | None, Content] = {
    "p": Held("the fixture 'p'", PATIENT),
    "new": Held("the fixture 'new'", {"resourceType": "Patient"}),
    "bundle": Held("the fixture 'bundle'", {"resourceType": "Bundle", "type": "batch"}),
    "bad": Held("the fixture 'bad'", {"resourceType": "Patient", "hair": "red"}),
    "patch": Content("the fixture 'patch'", b'[{"op": "remove", "path": "/name"}]'),
    "binary": Held(
        "the fixture 'binary'",
        {
            "resourceType": "Binary",
            "contentType": "application/json-patch+json",
            "data": base64.b64encode(b"[]").decode(),
        },
    ),
}


def sources(format_: str = "json") -> Sources:
    def named(id_: str) -> Content:
        if id_ not in CONTENTS:
            raise CannotBuild(f"there is no '{id_}'")
        return CONTENTS[id_]

    values = Values({"x": Variable("x", default="a b")}, {}, CONTENTS.get)
    return Sources(named, lambda _: "http://test/fhir", values, format_)


def line(type_: str, **elements: Any) -> str:
    made = request(Operation(type_, **elements), sources())
    assert made.url.startswith("http://test/fhir")
    return f"{made.method} {made.url.removeprefix('http://test/fhir')}"


@pytest.mark.parametrize(
    ("type_", "elements", "expected"),
    [
        ("read", {"resource": "Patient", "params": "/p"}, "GET /Patient/p"),
        ("read", {"target_id": "p"}, "GET /Patient/p"),
        ("read", {"resource": "Patient", "params": "/x", "target_id": "p"}, "GET /Patient/x"),
        ("read", {"url": "Patient/y", "params": "/x", "target_id": "p"}, "GET /Patient/y"),
        ("read", {"url": "Patient/${x}"}, "GET /Patient/a b"),
        ("vread", {"target_id": "p"}, "GET /Patient/p/_history/3"),
        ("history", {"target_id": "p"}, "GET /Patient/p/_history"),
        ("history", {"resource": "Patient"}, "GET /Patient/_history"),
        ("history", {"resource": "Patient", "params": "/p?_count=1"}, "GET /Patient/p/_history?_count=1"),  # noqa: E501
        ("history", {}, "GET /_history"),
        ("create", {"source_id": "new"}, "POST /Patient"),
        ("create", {"resource": "Patient", "source_id": "p"}, "POST /Patient"),
        ("update", {"source_id": "p"}, "PUT /Patient/p"),
        ("update", {"resource": "Patient", "source_id": "new"}, "PUT /Patient"),
        ("updateCreate", {"resource": "Patient", "params": "/z", "source_id": "p"}, "PUT /Patient/z"),  # noqa: E501
        ("patch", {"target_id": "p", "source_id": "patch"}, "PATCH /Patient/p"),
        ("delete", {"target_id": "p"}, "DELETE /Patient/p"),
        ("delete", {"resource": "Patient", "params": "?_id=1"}, "DELETE /Patient?_id=1"),
        ("deleteCondMultiple", {"resource": "Patient", "params": "name=x"}, "DELETE /Patient?name=x"),  # noqa: E501
        ("search", {"resource": "Patient", "params": "?_id=1"}, "GET /Patient?_id=1"),
        ("search", {"resource": "Patient"}, "GET /Patient"),
        ("search", {"params": "?_type=Patient"}, "GET ?_type=Patient"),
        ("search", {"resource": "Patient", "method": "POST", "params": "?a=1"}, "POST /Patient/_search"),  # noqa: E501
        ("batch", {"source_id": "bundle"}, "POST "),
        ("transaction", {"source_id": "bundle"}, "POST "),
        ("capabilities", {}, "GET /metadata"),
        ("capabilities", {"params": "?mode=full"}, "GET /metadata?mode=full"),
        ("expand", {"resource": "ValueSet", "params": "?url=x"}, "GET /ValueSet/$expand?url=x"),
        ("$expand", {"resource": "ValueSet", "params": "/v"}, "GET /ValueSet/v/$expand"),
        ("everything", {"target_id": "p"}, "GET /Patient/p/$everything"),
        ("validate", {"resource": "Patient", "source_id": "p"}, "POST /Patient/$validate"),
        ("$export", {}, "GET /$export"),
        ("$x", {"resource": "Patient", "params": "/p/$x?a=1"}, "GET /Patient/p/$x?a=1"),
        ("read", {"url": "Patient/p", "method": "HEAD"}, "HEAD /Patient/p"),
    ],
)  # fmt: skip
def test_an_operation_becomes_a_request(
    type_: str, elements: dict[str, Any], expected: str
) -> None:
    assert line(type_, **elements) == expected


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (Operation("read", resource="Patient"), "needs url, params or targetId"),
        (Operation("read", params="/p"), "needs a resource type"),
        (Operation("read", target_id="none"), "there is no 'none'"),
        (Operation("read", target_id="new"), "has no id"),
        (Operation("read", target_id="patch"), "is no FHIR resource"),
        (Operation(""), "neither a type nor a method"),
        (Operation("create", source_id="bad", content_type="xml"), "cannot be written as XML"),
    ],
)
def test_an_operation_that_makes_no_request_says_why(operation: Operation, said: str) -> None:
    with pytest.raises(CannotBuild, match=said):
        request(operation, sources())


def headers(operation: Operation, format_: str = "json") -> dict[str, str]:
    return dict(request(operation, sources(format_)).headers)


def test_headers_say_the_format() -> None:
    create = Operation("create", source_id="p")
    fhir_json, fhir_xml = "application/fhir+json", "application/fhir+xml"
    assert headers(create) == {"Accept": fhir_json, "Content-Type": fhir_json}
    assert headers(create, "xml") == {"Accept": fhir_xml, "Content-Type": fhir_xml}
    mixed = Operation("create", source_id="p", accept="json", content_type="xml")
    assert headers(mixed) == {"Accept": fhir_json, "Content-Type": fhir_xml}
    assert headers(Operation("read", target_id="p", accept="none")) == {}
    own = Operation("read", target_id="p", headers=(("accept", "text/${x}"), ("X-A", "1")))
    assert headers(own) == {"accept": "text/a b", "X-A": "1"}


def test_the_body_is_what_the_source_holds() -> None:
    made = request(Operation("create", source_id="p", content_type="xml"), sources())
    assert b'<id value="p"/>' in made.body
    patch = request(Operation("patch", target_id="p", source_id="patch"), sources())
    assert patch.body.startswith(b'[{"op"')
    assert patch.header("Content-Type") == "application/json-patch+json"
    binary = Operation(
        "patch", target_id="p", source_id="binary", content_type="application/json-patch+json"
    )
    assert request(binary, sources()).body == b"[]"
    form = Operation("search", resource="Patient", method="POST", params="?a=b|c d")
    assert request(form, sources()).body == b"a=b%7Cc%20d"
    assert request(form, sources()).header("Content-Type") == "application/x-www-form-urlencoded"
