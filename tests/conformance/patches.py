"""The suites of patches (FHIR/fhir-test-cases, r4/patch), sent over HTTP.

The documents of two suites are no resources, so they are taken to where a resource has room for
them. A JSON document is first added to a resource, as an element that does not exist, and taken
away by the last operation, so that one request holds the whole case. An XML document becomes part
of a narrative, its names those of XHTML.
"""

import copy
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from lxml import etree

from fhir_server.xml import decode_xml
from tests.conformance.score import Score

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
JSON = "application/fhir+json"

Element = etree._Element
# What is wrong with a case; None when it passes.
Complaint = str | None


# Cases that leave a contact of a Patient with nothing but a gender, against the invariant pat-1.
BREAKING = ("Delete Nested Primitive #2", "Consecutive operations")


def run(base_url: str, lenient_url: str, suites: Path) -> list[Score]:
    """The scores of the three suites.

    lenient_url: a server that demands no invariants, for the cases in `BREAKING`.
    """
    directory = suites / "patch"
    cases = {
        "fhirpath patch": fhirpath_cases(directory / "fhir-patch-tests.xml"),
        "json patch": json_cases(directory / "json-patch-tests.json"),
        "xml patch": xml_cases(directory / "xml-patch-tests.xml"),
    }
    with _client(base_url) as client, _client(lenient_url) as lenient:
        return [_score(suite, of_suite, client, lenient) for suite, of_suite in cases.items()]


Case = tuple[str, Callable[[httpx.Client, str], Complaint]]


def _client(base_url: str) -> httpx.Client:
    return httpx.Client(base_url=f"{base_url}/", timeout=60)


def _score(suite: str, cases: Iterator[Case], client: httpx.Client, lenient: httpx.Client) -> Score:
    started = time.monotonic()
    score = Score(suite, 0, 0)
    for name, complaint_of in cases:
        score.cases += 1
        id_ = f"{suite.replace(' ', '-')}-{score.cases}"
        complaint = complaint_of(client, id_)
        if name in BREAKING:
            refused = complaint is not None
            complaint = complaint_of(lenient, id_) if refused else "breaks pat-1, and is taken"
        if complaint is None:
            score.passed += 1
        else:
            score.failures.append(f"{name}: {complaint}")
    score.seconds = time.monotonic() - started
    return score


def _stored(client: httpx.Client, resource: dict[str, Any]) -> str:
    path = f"Patient/{resource['id']}"
    answer = client.put(path, content=json.dumps(resource), headers={"Content-Type": JSON})
    assert answer.is_success, answer.text
    return path


def _sent(client: httpx.Client, path: str, media_type: str, patch: bytes) -> httpx.Response:
    return client.patch(path, content=patch, headers={"Content-Type": media_type})


def _refused(answer: httpx.Response, status: int, beginning: str = "") -> Complaint:
    if answer.status_code != status:
        return f"expected {status}, got {answer.status_code}"
    told = str(answer.json()["issue"][0]["diagnostics"])
    return None if told.startswith(beginning) else f"refused for another reason: {told}"


def fhirpath_cases(path: Path) -> Iterator[Case]:
    """Each sent as XML and as JSON."""
    for case in etree.parse(path).getroot().iter("case"):
        parts = {str(part.tag): part for part in case.iterchildren("*")}
        patch = _inner(parts["diff"])
        before = decode_xml(_inner(parts["input"]))
        after = decode_xml(_inner(parts["output"])) if "output" in parts else None
        yield case.get("name", ""), _fhirpath(before, patch, after)


def _inner(part: Element) -> bytes:
    (found,) = part.iterchildren("*")
    return etree.tostring(found, with_tail=False)


def _fhirpath(
    before: dict[str, Any], patch: bytes, after: dict[str, Any] | None
) -> Callable[[httpx.Client, str], Complaint]:
    forms = {"application/fhir+xml": patch, JSON: json.dumps(decode_xml(patch)).encode()}

    def complaint(client: httpx.Client, id_: str) -> Complaint:
        for number, (media_type, body) in enumerate(forms.items()):
            identity = {"id": f"{id_}-{number}"}
            path = _stored(client, before | identity)
            answer = _sent(client, path, media_type, body)
            expected = before if after is None else after
            if after is None and (wrong := _refused(answer, 422, "Operation 0: ")):
                return wrong
            found = client.get(path).json()
            if (version := found.pop("meta")["versionId"]) != ("1" if expected == before else "2"):
                return f"{media_type}: made version {version}"
            if found != expected | identity:
                return f"{media_type}: gave {found}"
        return None

    return complaint


def json_cases(path: Path) -> Iterator[Case]:
    """Each with a last test for the expected document, and again with a wrong one."""
    for case in json.loads(path.read_text()):
        yield case["comment"], _json(case)


def _json(case: dict[str, Any]) -> Callable[[httpx.Client, str], Complaint]:
    def within(operation: dict[str, Any]) -> dict[str, Any]:
        pointers = {
            name: "/doc" + operation[name] for name in ("path", "from") if name in operation
        }
        return operation | pointers

    operations = [{"op": "add", "path": "/doc", "value": case["doc"]}]
    operations += map(within, case["patch"])
    last = len(operations)

    def patched(client: httpx.Client, path: str, expected: Any) -> httpx.Response:
        test = {"op": "test", "path": "/doc", "value": expected}
        whole = [*operations, test, {"op": "remove", "path": "/doc"}]
        return _sent(client, path, "application/json-patch+json", json.dumps(whole).encode())

    def complaint(client: httpx.Client, id_: str) -> Complaint:
        path = _stored(client, {"resourceType": "Patient", "id": id_})
        if "error" in case:
            return _refused(patched(client, path, None), 422, f"Operation {last - 1}: ")
        answer = patched(client, path, case["expected"])
        if answer.status_code != 200:
            return f"gave {answer.status_code} {answer.text}"
        return _refused(patched(client, path, [case["expected"]]), 422, f"Operation {last}: ")

    return complaint


_NAMES = {"doc": "blockquote", "foo": "p", "note": "i", "bar": "b", "div": "div"}
_ATTRIBUTES = {"t": "title", "a": "title", "user": "class", "id": "id"}
_DOCUMENT = "f:Patient/f:text/h:div"


def xml_cases(path: Path) -> Iterator[Case]:
    """Each with its document in a narrative."""
    for case in etree.parse(path).getroot().iter("case"):
        parts = {etree.QName(part).localname: part for part in case.iterchildren("*")}
        yield case.get("name", ""), _xml(parts)


def _xml(parts: dict[str, Element]) -> Callable[[httpx.Client, str], Complaint]:
    document = next(parts["target"].iterchildren("*"), None)
    patch = _patch(parts["patch"], document)

    def complaint(client: httpx.Client, id_: str) -> Complaint:
        path = f"Patient/{id_}"
        if document is not None:
            text = {"status": "generated", "div": _narrative(document)}
            _stored(client, {"resourceType": "Patient", "id": id_, "text": text})
        answer = _sent(client, path, "application/xml-patch+xml", patch)
        if document is None or not len(parts["patch"]):
            return _refused(answer, 404 if document is None else 400)
        if "error" in parts:
            return _refused(answer, 422, "Operation 0: ")
        if answer.status_code != 200:
            return f"gave {answer.status_code} {answer.text}"
        (expected,) = parts["patched"].iterchildren("*")
        found = answer.json()["text"]["div"]
        return None if _plain(found) == _plain(_narrative(expected)) else f"gave {found}"

    return complaint


def _narrative(document: Element) -> str:
    # The heading keeps the narrative from being empty when the document is.
    inner = etree.tostring(_renamed(document), with_tail=False, encoding="unicode")
    return f'<div xmlns="{XHTML}"><h1>x</h1>{inner}</div>'


def _patch(patch: Element, document: Element | None) -> bytes:
    """The patch with its selectors and content renamed; a foreign namespace stays foreign."""
    namespace = XHTML if document is None or document.nsmap.get(None) in (None, FHIR) else "urn:x"
    made = etree.Element(f"{{{FHIR}}}diff", nsmap={"f": FHIR, "h": XHTML, "d": namespace})
    for operation in patch.iterchildren("*"):
        renamed = etree.SubElement(made, operation.tag)
        renamed.text = operation.text
        for name, value in operation.items():
            renamed.set(name, _selector(str(value)))
        renamed.extend([_renamed(child) for child in operation])
    return etree.tostring(made)


def _selector(text: str) -> str:
    text = re.sub(r"@(\w+)", lambda match: f"@{_ATTRIBUTES[match[1]]}", text)
    text = re.sub(r"f:(\w+)", lambda match: f"d:{_NAMES[match[1]]}", text)
    return text.replace("d:blockquote", f"{_DOCUMENT}/d:blockquote")


def _renamed(node: Any) -> Element:
    if not isinstance(node.tag, str):
        comment: Element = copy.deepcopy(node)
        return comment
    made = etree.Element(f"{{{XHTML}}}{_NAMES.get(etree.QName(node).localname, 'p')}")
    made.text, made.tail = node.text, node.tail
    for name, value in node.items():
        made.set(_ATTRIBUTES[str(name)], value)
    made.extend([_renamed(child) for child in node])
    return made


def _plain(narrative: str) -> Any:
    """What a narrative says, without white space around it."""

    def plain(node: Element) -> Any:
        name = node.tag if isinstance(node.tag, str) else "comment"
        texts = [" ".join((text or "").split()) for text in (node.text, node.tail)]
        return name, texts, sorted(node.items()), [plain(child) for child in node]

    return plain(etree.fromstring(narrative))
