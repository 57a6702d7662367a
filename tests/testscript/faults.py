"""A server that is wrong in one way: the real one, with its answers altered."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(slots=True)
class Answer:
    """What the real server answered, to be altered."""

    request: httpx.Request
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_search(self) -> bool:
        """Whether a page of a search was asked for."""
        return self.bundle_type == "searchset"

    @property
    def bundle_type(self) -> str:
        """The type of the Bundle, if it is one."""
        return str(self.json.get("type", "")) if self.type == "Bundle" else ""

    @property
    def type(self) -> str:
        """The type of the resource in JSON, if it is one."""
        return str(self.json.get("resourceType", ""))

    @property
    def json(self) -> dict[str, Any]:
        """The body, empty if it is none of JSON."""
        try:
            return dict(json.loads(self.body))
        except ValueError:
            return {}

    def replace(self, **elements: Any) -> None:
        """Set elements of the resource; None takes one away."""
        made = {key: value for key, value in (self.json | elements).items() if value is not None}
        self.body = json.dumps(made).encode()


Alter = Callable[[Answer], None]


class FaultyServer(httpx.AsyncBaseTransport):
    """Sends requests to the real server and alters what it answers."""

    def __init__(self, real: httpx.AsyncBaseTransport, alter: Alter) -> None:
        self._real = real
        self._alter = alter

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The altered answer."""
        real = await self._real.handle_async_request(request)
        body = await real.aread()
        answer = Answer(request, real.status_code, dict(real.headers), body)
        self._alter(answer)
        kept = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return httpx.Response(answer.status, headers=kept, content=answer.body)
