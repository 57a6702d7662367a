"""An OpenID provider on a socket: its keys and its configuration; tests sign its tokens."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

AUDIENCE = "https://fhir.example.org/fhir"


def rsa_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid}, auto_kid=False)


def ec_key(kid: str, curve: str = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": kid}, auto_kid=False)


class Provider:
    """Says what its attributes say. asked: how often for its keys. down: whether it fails."""

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys
        self.asked = 0
        self.down = False
        self.issuer = ""
        self.told_issuer: str | None = None

    def documents(self) -> dict[str, Any]:
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.told_issuer or self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
            },
            "/keys": {"keys": [key.as_dict(private=False) for key in self.keys]},
        }

    def claims(self, **more: Any) -> dict[str, Any]:
        """What a token needs, and more; None leaves a claim out."""
        now = int(time.time())
        found = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "8d1f",
            "iat": now,
            "exp": now + 300,
            **more,
        }
        return {name: value for name, value in found.items() if value is not None}

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        key: Key | None = None,
        algorithm: str = "RS256",
        header: Mapping[str, Any] | None = None,
        typ: str | None = "JWT",
    ) -> str:
        key = key or self.keys[0]
        head = {"alg": algorithm, "kid": key.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        given = self.claims() if claims is None else dict(claims)
        return jwt.encode(head, given, key, algorithms=[algorithm], default_type=typ)


@contextmanager
def running_provider(*keys: Key) -> Iterator[Provider]:
    """A provider that answers at its `issuer`."""
    provider = Provider(list(keys))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = None if provider.down else provider.documents().get(self.path)
            provider.asked += self.path == "/keys"
            self.send_response(200 if found else 503)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        yield provider
        server.shutdown()
