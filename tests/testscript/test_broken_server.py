"""A script must fail against a server that is wrong, whatever it is that is wrong."""

import json
from collections.abc import Callable

import httpx
import pytest

from fhir_server.conformance.client import Client
from fhir_server.conformance.reading import read
from fhir_server.conformance.results import Result, ScriptResult
from fhir_server.conformance.runner import Options, run
from fhir_server.conformance.server import Server
from tests.testscript.conftest import BASE_URL, SCRIPTS
from tests.testscript.faults import Alter, Answer, FaultyServer

XML = "application/fhir+xml"


async def watched(server: httpx.AsyncBaseTransport, format_: str = "json") -> ScriptResult:
    script = read(SCRIPTS / "watch.json")
    async with Client([BASE_URL], transport=server) as client:
        return await run(script, Server(client, {1: BASE_URL}), Options(format=format_))


def failures(result: ScriptResult) -> dict[str, str]:
    return {part.name: part.message for part in result.parts if part.failed}


def status(before: int, after: int) -> Alter:
    def alter(answer: Answer) -> None:
        if answer.status == before:
            answer.status = after

    return alter


def without_header(name: str) -> Alter:
    def alter(answer: Answer) -> None:
        answer.headers.pop(name, None)

    return alter


def header(name: str, value: str, when: Callable[[Answer], bool] = lambda _: True) -> Alter:
    def alter(answer: Answer) -> None:
        if name in answer.headers and when(answer):
            answer.headers[name] = value

    return alter


def each_patient(change: Callable[[Answer], None]) -> Alter:
    def alter(answer: Answer) -> None:
        if answer.type == "Patient":
            change(answer)

    return alter


def each_bundle(kind: str, change: Callable[[Answer], None]) -> Alter:
    def alter(answer: Answer) -> None:
        if answer.bundle_type == kind:
            change(answer)

    return alter


def without_entries(answer: Answer) -> None:
    answer.replace(entry=None)


def first_entry_twice(answer: Answer) -> None:
    answer.replace(entry=answer.json.get("entry", [])[:1] * 2 or None)


def entries_reversed(answer: Answer) -> None:
    answer.replace(entry=answer.json["entry"][::-1])


def links_but(relation: str) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.replace(link=[each for each in answer.json["link"] if each["relation"] != relation])

    return change


def family(answer: Answer) -> None:
    answer.body = answer.body.replace(b"Single-", b"Singel-")


def cut(answer: Answer) -> None:
    answer.body = answer.body[: len(answer.body) // 2]


def first_page_again(answer: Answer) -> None:
    """Every page is the first one, as `_cursor` is ignored."""
    if answer.is_search and b"_cursor" in answer.request.url.query:
        entry = answer.json["entry"][0]
        entry["resource"]["id"] = seen[0]
        answer.replace(entry=[entry])
    elif answer.is_search and b"_count=1" in answer.request.url.query:
        seen[:] = [answer.json["entry"][0]["resource"]["id"]]


seen: list[str] = []


def swapped_versions(answer: Answer) -> None:
    if "/_history/1" in answer.request.url.path:
        answer.body = answer.body.replace(b"Single-", b"Married-")


def as_json(answer: Answer) -> None:
    if answer.headers.get("content-type", "").startswith(XML):
        answer.headers["content-type"] = "application/fhir+json"


def xml_without_gender(answer: Answer) -> None:
    answer.body = answer.body.replace(b'<gender value="female"/>', b"")


def accepts_anything(answer: Answer) -> None:
    if answer.status in (400, 422):
        answer.status, answer.body = 201, b'{"resourceType":"Patient","id":"made"}'


def forgets_conditions(answer: Answer) -> None:
    if answer.request.method == "POST" and "if-none-exist" in answer.request.headers:
        answer.status = 201
        answer.headers["location"] = "http://test/fhir/Patient/another/_history/1"


def no_outcome(answer: Answer) -> None:
    if answer.status >= 400:
        answer.body = b"<html>Something went wrong</html>"
        answer.headers["content-type"] = "text/html"


def keeps_deleted(answer: Answer) -> None:
    if answer.status == 410:
        answer.status, answer.body = 200, json.dumps({"resourceType": "Patient"}).encode()


def finds_deleted(answer: Answer) -> None:
    if answer.is_search and "entry" not in answer.json and b"none" not in answer.request.url.query:
        answer.replace(entry=[{"resource": {"resourceType": "Patient", "id": "x"}}])


def finds_too_much(answer: Answer) -> None:
    if answer.is_search and b"none-" in answer.request.url.query:
        answer.replace(total=1, entry=[{"resource": {"resourceType": "Patient", "id": "x"}}])


def dangling(answer: Answer) -> None:
    if answer.request.url.path.endswith("/Observation"):
        answer.body = answer.body.replace(b'"Patient/', b'"urn:uuid:')


def half_a_transaction(answer: Answer) -> None:
    answer.replace(entry=answer.json["entry"][:1])


# What is wrong, and the part of the script that has to notice.
FAULTS: dict[str, tuple[Alter, str]] = {
    "create answers 200": (status(201, 200), "create"),
    "read answers 201": (status(200, 201), "read"),
    "success without content": (status(200, 204), "read"),
    "everything is an error": (status(200, 500), "search"),
    "unknown is gone": (status(404, 410), "unknown"),
    "unknown is found": (status(404, 200), "unknown"),
    "deleted is unknown": (status(410, 404), "delete"),
    "a stale update is taken": (status(412, 200), "stale update"),
    "not modified is sent again": (status(304, 200), "not modified"),
    "an unknown format is bad": (status(415, 400), "unknown format"),
    "no Location": (without_header("location"), "create"),
    "no ETag": (without_header("etag"), "read"),
    "no Last-Modified": (without_header("last-modified"), "read"),
    "no Content-Type": (without_header("content-type"), "read"),
    "a strong ETag": (header("etag", '"1"'), "create"),
    "the ETag stays": (header("etag", 'W/"1"'), "update"),
    "Location of another": (header("location", "http://test/fhir/Patient/x/_history/1"), "create"),
    "JSON called HTML": (
        header("content-type", "text/html", lambda answer: answer.type == "Patient"),
        "read",
    ),
    "XML called JSON": (as_json, "read as XML"),
    "XML lacks an element": (xml_without_gender, "read as XML"),
    "a name altered": (family, "read"),
    "an element lost": (each_patient(lambda answer: answer.replace(birthDate=None)), "read"),
    "an array shortened": (
        each_patient(lambda answer: answer.replace(identifier=None)),
        "create",
    ),
    "an element that R4 lacks": (each_patient(lambda answer: answer.replace(hair="red")), "read"),
    "a code that R4 lacks": (each_patient(lambda answer: answer.replace(gender="f")), "read"),
    "another id": (
        each_patient(
            lambda answer: answer.replace(id="x") if answer.request.method == "GET" else None
        ),
        "read",
    ),
    "another type": (each_patient(lambda answer: answer.replace(resourceType="Person")), "read"),
    "no meta": (each_patient(lambda answer: answer.replace(meta=None)), "read"),
    "half a body": (each_patient(cut), "read"),
    "no body": (each_patient(lambda answer: setattr(answer, "body", b"")), "read"),
    "the newest of all versions": (swapped_versions, "version read"),
    "history the wrong way round": (each_bundle("history", entries_reversed), "history"),
    "history called a search": (
        each_bundle("history", lambda answer: answer.replace(type="searchset")),
        "history",
    ),
    "history without entries": (each_bundle("history", without_entries), "history"),
    "a search finds nothing": (each_bundle("searchset", without_entries), "search"),
    "a search finds all twice": (each_bundle("searchset", first_entry_twice), "search"),
    "a total too high": (
        each_bundle("searchset", lambda answer: answer.replace(total=7)),
        "search",
    ),
    "a search called a collection": (
        each_bundle("searchset", lambda answer: answer.replace(type="collection")),
        "search",
    ),
    "no link to itself": (each_bundle("searchset", links_but("self")), "search"),
    "no link to the next page": (each_bundle("searchset", links_but("next")), "pages"),
    "the first page again": (first_page_again, "pages"),
    "half a Bundle": (each_bundle("searchset", cut), "search"),
    "a condition not looked at": (finds_too_much, "nothing found"),
    "a deleted resource found": (finds_deleted, "delete"),
    "a deleted resource read": (keeps_deleted, "delete"),
    "an invalid resource taken": (accepts_anything, "invalid"),
    "If-None-Exist not looked at": (forgets_conditions, "conditional create"),
    "errors in HTML": (no_outcome, "unknown"),
    "references of a transaction left": (dangling, "transaction"),
    "half a transaction": (each_bundle("transaction-response", half_a_transaction), "transaction"),
    "another version of FHIR": (
        lambda answer: setattr(answer, "body", answer.body.replace(b"4.0.1", b"4.3.0")),
        "capabilities",
    ),
}  # fmt: skip


@pytest.mark.parametrize("format_", ["json", "xml"])
async def test_the_real_server_passes(application: httpx.ASGITransport, format_: str) -> None:
    result = await watched(application, format_)
    assert not result.failed, failures(result)
    assert len(result.tests) == 20
    assert {test.result for test in result.tests} == {Result.PASS}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_caught_where_it_is(application: httpx.ASGITransport, fault: str) -> None:
    alter, where = FAULTS[fault]
    result = await watched(FaultyServer(application, alter))
    assert result.failed
    assert where in failures(result), failures(result)
