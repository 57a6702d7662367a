"""A real server of several processes, and the OAuth client that many programs are made of."""

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from authlib.oauth2.rfc7523 import PrivateKeyJWT

from tests.conftest import RunningServer, free_port, running_server
from tests.identity.conftest import KEYS, public_keys
from tests.identity.provider import ec_key, running_provider
from tests.identity.smart import PASSWORD, REDIRECT, form_of
from tests.identity.test_programs import assertion

with warnings.catch_warnings():
    # Of a successor of httpx that it would rather have.
    warnings.simplefilter("ignore")
    from authlib.integrations.httpx_client import OAuth2Client

Command = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    with running_server(
        folder,
        "--authentication",
        "embedded",
        "--base-url",
        f"http://127.0.0.1:{port}/fhir",
        "--workers",
        "2",
        port=port,
    ) as found:
        yield found


@pytest.fixture(scope="module")
def command(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """`fhir-server …` beside the running server."""
    (server.log.parent / "password").write_text(PASSWORD)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "fhir_server.cli", *arguments],
            cwd=server.log.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("user", "add", "anna", "--role", "administrator", "--password-file", "password")
    return run


def log_in(url: str, client: httpx.Client) -> str:
    """What a user does in a browser; where it is sent back to."""
    page = client.get(url)
    form = form_of(page)
    answer = client.post(form.action, data={**form.fields, "name": "anna", "password": PASSWORD})
    form = form_of(client.get(answer.headers["location"]))
    answer = client.post(form.action, data={**form.fields, "decision": "allow"})
    location: str = answer.headers["location"]
    return location


def test_authlib_logs_a_user_in(server: RunningServer, command: Command) -> None:
    scope = "openid fhirUser user/*.cruds offline_access"
    secret = command(
        "client", "add", "web", "--scope", scope, "--redirect-uri", REDIRECT
    ).strip()  # fmt: skip
    told = httpx.get(f"{server.base_url}/.well-known/smart-configuration").json()
    with OAuth2Client(
        "web",
        secret,
        redirect_uri=REDIRECT,
        scope=scope,
        code_challenge_method="S256",
        token_endpoint=told["token_endpoint"],
    ) as client:
        verifier = "v" * 64
        url, state = client.create_authorization_url(
            told["authorization_endpoint"], aud=server.base_url, code_verifier=verifier
        )
        with httpx.Client(base_url=server.root) as browser:
            location = log_in(url, browser)
        token = client.fetch_token(
            authorization_response=location, state=state, code_verifier=verifier
        )
        assert token["scope"] == scope
        answer = client.post(
            f"{server.base_url}/Patient",
            content='{"resourceType": "Patient"}',
            headers={"Content-Type": "application/fhir+json"},
        )
        assert answer.status_code == 201, answer.text
        fresh = client.refresh_token(told["token_endpoint"])
        assert fresh["access_token"] != token["access_token"]
        assert client.get(f"{server.base_url}/Patient").status_code == 200
        # Every process hears of it: each request may come to another.
        client.revoke_token(told["revocation_endpoint"], token=fresh["refresh_token"])
        assert refused_within(2.0, server, fresh["access_token"])


def refused_within(seconds: float, server: RunningServer, token: str) -> bool:
    """Whether a token is refused everywhere after that time."""
    headers = {"Authorization": f"Bearer {token}"}
    time.sleep(seconds)
    answers = [
        httpx.get(f"{server.base_url}/Patient", headers=headers).status_code for _ in range(20)
    ]
    return set(answers) == {401}


def test_authlib_proves_itself_with_its_key(
    server: RunningServer, command: Command, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(public_keys()))
    add = ["client", "add", "lab", "--scope", "system/*.rs", "--backend"]
    command(*add, "--jwks-file", str(keys))
    told = httpx.get(f"{server.root}/.well-known/openid-configuration").json()
    with OAuth2Client(
        "lab",
        KEYS["RS384"],
        token_endpoint=told["token_endpoint"],
        token_endpoint_auth_method="private_key_jwt",
        scope="system/*.rs",
    ) as client:
        header = {"kid": KEYS["RS384"].kid}
        # Its own are good for an hour; SMART allows five minutes.
        claims = {"exp": int(time.time()) + 240}
        client.register_client_auth_method(
            PrivateKeyJWT(told["token_endpoint"], claims, headers=header, alg="RS384")
        )
        token = client.fetch_token(grant_type="client_credentials", scope="system/*.rs")
        assert client.get(f"{server.base_url}/Patient").status_code == 200
        command("client", "disable", "lab")
        assert refused_within(2.0, server, token["access_token"])


def test_keys_of_programs_may_be_at_a_url(server: RunningServer, command: Command) -> None:
    key = ec_key("of-a-url", "P-384")
    with running_provider(key) as provider:
        add = ["client", "add", "remote", "--scope", "system/*.rs", "--backend"]
        command(*add, "--jwks-url", f"{provider.issuer}/keys")

        def asked(kid_of: Any) -> int:
            text = assertion("remote", "ES384", kid_of, aud=f"{server.root}/auth/token")
            type_ = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            form = {
                "grant_type": "client_credentials",
                "scope": "system/*.rs",
                "client_assertion_type": type_,
                "client_assertion": text,
            }
            return httpx.post(f"{server.root}/auth/token", data=form).status_code

        assert asked(key) == 200
        assert asked(ec_key("of-a-url", "P-384")) == 400


def test_nothing_of_secrets_is_in_the_log(server: RunningServer, command: Command) -> None:
    with httpx.Client(base_url=server.root) as browser:
        url = (
            "/auth/authorize?response_type=code&client_id=web&scope=openid&state=x"
            f"&redirect_uri={REDIRECT}&code_challenge={'c' * 43}&code_challenge_method=S256"
        )
        location = log_in(url, browser)
    log = server.log.read_text()
    assert PASSWORD not in log
    assert httpx.URL(location).params["code"] not in log
