"""What it costs to say who asks: a server with authentication against one without, in turns.

`python -m benchmarks.authentication --role doctor`
"""

import argparse
import asyncio
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvloop
from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks.client import Connection
from benchmarks.compare import running
from benchmarks.measure import Target, measure, prepare

_AUDIENCE = "https://fhir.example.org/fhir"
_READY_WITHIN_SECONDS = 120.0


@contextmanager
def provider(role: str, scope: str) -> Iterator[tuple[str, str]]:
    """An OpenID provider that has a key; gives its URL and a token of somebody."""
    key = ECKey.generate_key("P-256", {"kid": "benchmark"}, auto_kid=False)

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            documents: dict[str, Any] = {
                "/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/k"},
                "/k": {"keys": [key.as_dict(private=False)]},
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(documents[self.path]).encode())

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        issuer = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        now = int(time.time())
        claims = {"iss": issuer, "aud": _AUDIENCE, "sub": "anna", "iat": now, "exp": now + 3600,
                  "roles": [role], "scope": scope}  # fmt: skip
        yield issuer, jwt.encode({"alg": "ES256", "kid": "benchmark"}, claims, key, ["ES256"])
        server.shutdown()


async def compare(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """The throughput with authentication as a share of that without, by workload and round."""
    serve = ("fhir_server.cli", "serve", "--workers", str(arguments.workers), *arguments.options)
    with ExitStack() as stack:
        # Who prepares may do everything, who is measured what the role may.
        issuer, token = stack.enter_context(provider(arguments.role, arguments.scope))
        external = ("--authentication", "external", "--token-issuer", issuer)
        asked = stack.enter_context(
            running("asked", *serve, *external, "--token-audience", _AUDIENCE)
        )
        free = stack.enter_context(running("free", *serve, "--authentication", "off"))
        targets = [await _prepared(asked, token), await _prepared(free, "")]
        ratios: dict[str, list[float]] = {}
        for workload in arguments.workloads.split(","):
            for turn in range(arguments.rounds):
                figures = {}
                # Who goes first changes, so that neither gains from the other's warm caches.
                for target in targets if turn % 2 == 0 else reversed(targets):
                    found = await measure(target, workload, arguments.seconds, arguments.clients)
                    if found.errors:
                        raise RuntimeError(f"{target.base_url}: {found.reasons}")
                    figures[target.base_url] = found.throughput
                ratios.setdefault(workload, []).append(figures[asked] / figures[free])
                sys.stderr.write(f"{workload}: {figures[asked]:.0f} of {figures[free]:.0f} a s\n")
        return ratios


async def _prepared(base_url: str, token: str) -> Target:
    end = time.monotonic() + _READY_WITHIN_SECONDS
    while time.monotonic() < end:
        connection = Connection(base_url, token)
        response = await connection.request("GET", "/Patient?_count=1")
        connection.close()
        if response.status == 200:
            return await prepare(base_url, token=token)
        await asyncio.sleep(0.2)
    raise RuntimeError(f"{base_url}: {response.status} {response.body[:300]!r}")


def main() -> int:
    """Prints the ratios; the exit status is 1 if the median of reads is below 0.8."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.authentication", description=__doc__
    )
    parser.add_argument("--role", default="doctor")
    parser.add_argument("--scope", default="user/*.cruds")
    parser.add_argument("--workloads", default="read,create")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("options", nargs="*", help="of both servers, after --")
    arguments = parser.parse_args()
    ratios = uvloop.run(compare(arguments))
    for workload, found in ratios.items():
        rounds = " ".join(f"{each:.2f}" for each in found)
        print(f"{workload}: {statistics.median(found):.2f} of anonymous ({rounds})")
    return 0 if statistics.median(ratios.get("read", [1.0])) >= 0.8 else 1


if __name__ == "__main__":
    raise SystemExit(main())
