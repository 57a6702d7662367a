"""Doors at which passwords and secrets are tried: addresses that fail there too often must wait."""

from collections.abc import Awaitable, Callable, Mapping

from fhir_server.fhir_json import encode
from fhir_server.http.answer import respond
from fhir_server.http.body import Message, Receive, Scope, Send
from fhir_server.http.negotiation import CONTENT_TYPE
from fhir_server.outcome import operation_outcome
from fhir_server.security.limiting import Buckets, TooMany

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def slowed(app: Asgi, paths: Mapping[str, int], failures: Buckets) -> Asgi:
    """An application that does not even look at what is tried at these paths too often.

    To look costs as much as a password's hash does, whether it is right or not.

    paths: with the status by which each tells that who asks is who they say.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in paths or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0]
        if seconds := failures.wait(address):
            await _refuse(TooMany(seconds), send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                if status < 500 and status != paths[scope["path"]]:
                    failures.take(address)
            await send(message)

        await app(scope, receive, watched)

    return serve


async def _refuse(refusal: TooMany, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    headers += [(b"content-type", CONTENT_TYPE.encode()), (b"cache-control", b"no-store")]
    body = encode(operation_outcome(refusal.issues))
    await respond(send, refusal.status, headers, body)
