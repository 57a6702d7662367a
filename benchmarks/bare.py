"""The bare loop: what the ASGI server, psycopg and PostgreSQL give when nothing else is done.

The same ASGI server, event loop, number of workers, connection pool and embedded PostgreSQL as
`fhir-server serve`, and exactly one SQL statement a request. No validation, no index, no history.

    python -m benchmarks.bare --port 8090 --data-dir /tmp/bare
"""

import argparse
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_TABLE = """
create table if not exists resource (
    type text, id text, content jsonb not null, primary key (type, id)
)"""
_READ = "select content::text from resource where type = %s and id = %s"
_CREATE = "insert into resource (type, id, content) values (%s, %s, %s::jsonb)"
_DATABASE = "BARE_DATABASE_URL"
_POOL = 16


def create() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application of one worker."""
    pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]] = AsyncConnectionPool(
        os.environ[_DATABASE],
        kwargs={"autocommit": True, "prepare_threshold": 0},
        min_size=2,
        max_size=_POOL,
        open=False,
    )

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(pool, receive, send)
            return
        parts = scope["path"].rsplit("/", 2)
        if scope["method"] == "GET" and scope["path"] == "/fhir/metadata":
            await _answer(send, 200, b"{}")
        elif scope["method"] == "GET":
            async with pool.connection() as connection:
                cursor = await connection.execute(_READ, parts[-2:])
                row = await cursor.fetchone()
            await _answer(send, 200 if row else 404, row[0].encode() if row else b"")
        else:
            body = await _body(receive)
            type_, id_ = parts[-1], str(uuid4())
            async with pool.connection() as connection:
                await connection.execute(_CREATE, (type_, id_, body.decode()))
            await _answer(send, 201, body, f"/fhir/{type_}/{id_}/_history/1".encode())

    return application


async def _lifespan(pool: AsyncConnectionPool[Any], receive: Receive, send: Send) -> None:
    await receive()
    await pool.open()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def _answer(send: Send, status: int, body: bytes, location: bytes = b"") -> None:
    headers = [
        (b"content-type", b"application/fhir+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if location:
        headers.append((b"location", location))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Run it until a signal says stop."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops

    from fhir_server.storage.embedded import EmbeddedPostgres

    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data-dir", type=Path, required=True)
    arguments = parser.parse_args()
    embedded = EmbeddedPostgres(arguments.data_dir)
    url = embedded.start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
    os.environ[_DATABASE] = url
    try:
        Granian(
            "benchmarks.bare:create",
            factory=True,
            address="127.0.0.1",
            port=arguments.port,
            workers=arguments.workers,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            loop=Loops.uvloop,
            websockets=False,
            log_enabled=False,
        ).serve()
    finally:
        embedded.stop()


if __name__ == "__main__":
    main()
