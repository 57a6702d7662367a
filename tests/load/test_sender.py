from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fhir_server.load.parts import Entry, Part
from fhir_server.load.results import CREATED, FAILED, UNCHANGED, UPDATED
from fhir_server.load.sender import HEADERS, Denied, Sender, Uncertain, Unreachable
from tests.load.scripted_server import (
    CAPABILITIES,
    BreakOff,
    Reply,
    Request,
    Script,
    ScriptedServer,
    accept,
    outcome,
    respond,
)

RESOURCE = b'{"resourceType":"Patient","identifier":[{"system":"s","value":"1"}]}'
CREATE = b'{"resource":%b,"request":{"method":"POST","url":"Patient"}}' % RESOURCE
TRANSACTION = Part(
    0,
    "POST",
    "",
    (Entry(0, "POST", repeatable=False),),
    whole=b'{"resourceType":"Bundle","type":"transaction","entry":[%b]}' % CREATE,
    atomic=True,
)
POST_BATCH = Part(0, "POST", "", (Entry(0, "POST", repeatable=False, content=CREATE),))
PUT = Part(
    0, "PUT", "/Patient/1", (Entry(0, "PUT", repeatable=True),), whole=b'{"resourceType":"Patient"}'
)


@pytest.fixture
async def sender(server: ScriptedServer) -> AsyncIterator[Sender]:
    async with httpx.AsyncClient(headers=HEADERS) as client:
        yield Sender(client, server.base_url, attempts=5, first_wait=0.001, settle=0.001)


def first(*troubles: Reply | type[Exception]) -> Script:
    """Troubles for the first writes, then everything is accepted; searches find nothing."""
    waiting = list(troubles)

    def script(request: Request) -> Reply:
        if "?" in request.path:
            return Reply(200, {"resourceType": "Bundle", "entry": []})
        if request.method == "GET" or not waiting:
            return accept(request)
        trouble = waiting.pop(0)
        if isinstance(trouble, Reply):
            return trouble
        raise trouble

    return script


@pytest.mark.parametrize(
    "trouble", [Reply(503), Reply(429), Reply(503, None, {"Retry-After": "0"}), Reply(409)], ids=str
)
async def test_refusal_that_passes_is_tried_again(
    trouble: Reply, server: ScriptedServer, sender: Sender
) -> None:
    server.script = first(trouble, trouble)
    answer = await sender.send(TRANSACTION)
    assert [result.kind for result in answer.results] == [CREATED]
    assert len(server.writes) == 3
    assert {request.body for request in server.writes} == {TRANSACTION.whole}


async def test_refusal_that_stays_is_given_up(server: ScriptedServer, sender: Sender) -> None:
    server.script = first(*[Reply(503)] * 99)
    with pytest.raises(Unreachable, match="after 5 attempts: the server answers 503"):
        await sender.send(TRANSACTION)
    assert len(server.writes) == 5


async def test_conflict_that_stays_is_the_answer(server: ScriptedServer, sender: Sender) -> None:
    server.script = first(*[Reply(409, outcome("the number is taken"))] * 99)
    answer = await sender.send(TRANSACTION)
    assert answer.results[0].reason == "409: the number is taken"
    assert len(server.writes) == 4


@pytest.mark.parametrize("status", [400, 404, 412, 422, 500])
async def test_refusal_for_good_is_not_tried_again(
    status: int, server: ScriptedServer, sender: Sender
) -> None:
    server.script = first(Reply(status, outcome("no such code")))
    answer = await sender.send(TRANSACTION)
    assert [(r.kind, r.reason) for r in answer.results] == [(FAILED, f"{status}: no such code")]
    assert len(server.writes) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_denied_access_ends_everything(
    status: int, server: ScriptedServer, sender: Sender
) -> None:
    server.script = first(Reply(status))
    with pytest.raises(Denied, match="--token"):
        await sender.send(TRANSACTION)


@pytest.mark.parametrize("trouble", [BreakOff, Reply(502), Reply(504)], ids=str)
async def test_what_can_be_repeated_is_repeated_after_a_broken_connection(
    trouble: Any, server: ScriptedServer, sender: Sender
) -> None:
    server.script = first(trouble, trouble)
    assert (await sender.send(PUT)).results[0].kind == CREATED
    assert len(server.writes) == 3


async def test_broken_off_transaction_that_was_not_stored_is_sent_again(
    server: ScriptedServer, sender: Sender
) -> None:
    server.script = first(BreakOff)
    await sender.greet()
    assert (await sender.send(TRANSACTION)).results[0].kind == CREATED
    assert len(server.writes) == 2
    (search,) = [request for request in server.requests if "?" in request.path]
    assert search.path.startswith("/fhir/Patient?identifier=s%7C1&_lastUpdated=ge20")


async def test_broken_off_transaction_that_was_stored_is_not_sent_again(
    server: ScriptedServer, sender: Sender
) -> None:
    def script(request: Request) -> Reply:
        if request.method == "POST":
            raise BreakOff
        found = {"resourceType": "Patient", "id": "7", "meta": {"versionId": "1"}}
        return Reply(200, {"resourceType": "Bundle", "entry": [{"resource": found}]})

    server.script = script
    answer = await sender.send(TRANSACTION)
    assert answer.results[0].kind == CREATED
    assert answer.location == "Patient/7/_history/1"
    assert len(server.writes) == 1


async def test_transaction_that_may_still_be_running_is_not_sent_again(
    server: ScriptedServer, sender: Sender
) -> None:
    server.script = first(Reply(504))
    with pytest.raises(Uncertain):
        await sender.send(TRANSACTION)
    assert len(server.writes) == 1


async def test_broken_off_batch_of_creates_is_uncertain(
    server: ScriptedServer, sender: Sender
) -> None:
    server.script = first(BreakOff)
    with pytest.raises(Uncertain):
        await sender.send(POST_BATCH)
    assert len(server.writes) == 1


async def test_server_that_is_not_there_yet_is_waited_for() -> None:
    async with httpx.AsyncClient() as client:
        sender = Sender(client, "http://127.0.0.1:9/fhir", attempts=3, first_wait=0.001)
        with pytest.raises(Unreachable, match="after 3 attempts"):
            await sender.send(TRANSACTION)
        with pytest.raises(Unreachable, match="no server answers"):
            await sender.greet()


@pytest.mark.parametrize("reply", [Reply(404), Reply(200, {"resourceType": "Patient"})], ids=str)
async def test_other_servers_are_recognised(
    reply: Reply, server: ScriptedServer, sender: Sender
) -> None:
    server.script = lambda _: reply
    with pytest.raises(Unreachable, match="not a CapabilityStatement"):
        await sender.greet()


async def test_each_entry_gets_its_result(server: ScriptedServer, sender: Sender) -> None:
    statuses = ["201 Created", "200 OK", "200", "422 Unprocessable Entity"]
    server.script = lambda request: respond(request, statuses)
    methods = ["POST", "POST", "PUT", "POST"]
    entries = tuple(
        Entry(position, method, repeatable=True, content=CREATE)
        for position, method in enumerate(methods, 10)
    )
    answer = await sender.send(Part(0, "POST", "", entries))
    assert [(result.position, result.kind) for result in answer.results] == [
        (10, CREATED),
        (11, UNCHANGED),
        (12, UPDATED),
        (13, FAILED),
    ]
    assert answer.results[3].reason == "422: not this one"
    assert answer.location == "Patient/0/_history/1"


@pytest.mark.parametrize(
    ("modified", "kind"),
    [
        ("Sat, 21 Nov 2026 10:00:10 GMT", UPDATED),
        ("Sat, 21 Nov 2026 10:00:00 GMT", UNCHANGED),
    ],
)
async def test_update_that_changed_nothing_is_told_from_one_that_did(
    modified: str, kind: str, server: ScriptedServer, sender: Sender
) -> None:
    dates = {"Date": "Sat, 21 Nov 2026 10:00:10 GMT", "Last-Modified": modified}
    server.script = lambda _: Reply(200, None, dates)
    assert (await sender.send(PUT)).results[0].kind == kind


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(200, {"resourceType": "Bundle"}), "1 entries were sent, the answer has 0"),
        (Reply(200), "the answer is not a Bundle"),
    ],
    ids=str,
)
async def test_success_that_tells_nothing_is_no_success(
    reply: Reply, reason: str, server: ScriptedServer, sender: Sender
) -> None:
    server.script = lambda _: reply
    with pytest.raises(Uncertain, match=reason):
        await sender.send(TRANSACTION)
    repeatable = Part(0, "POST", "", (Entry(0, "PUT", repeatable=True, content=CREATE),))
    assert reason in (await sender.send(repeatable)).results[0].reason


async def test_greeting_names_the_software(server: ScriptedServer, sender: Sender) -> None:
    server.script = lambda _: CAPABILITIES
    assert await sender.greet() == "script"
