"""Random requests at every door: nothing breaks, and nobody without a token learns of patients.

FUZZ_REQUESTS in the environment draws more of them.
"""

import os
import re
import secrets
from collections.abc import Iterator

import httpx
import pytest

from fhir_server.identity.administration import Administration, NewProgram
from fhir_server.storage.identity.connections import Connections
from tests.conftest import RunningServer, free_port, running_server
from tests.process.fuzzing import Fuzzer
from tests.process.wire import Answer, exchange

COUNT = int(os.environ.get("FUZZ_REQUESTS", "600"))
SECRET_NAME = "Sentinelsson"
SECRET_VALUE = "4711-sentinel"
PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"family": SECRET_NAME}],
    "identifier": [{"system": "urn:mrn", "value": SECRET_VALUE}],
}
_INSIDES = re.compile(rb"Traceback|site-packages|\.py\b|psycopg|asyncpg|pg_catalog|tenant_default")


class Doors:
    """A server with authentication. token: of a program that may do everything."""

    def __init__(self, server: RunningServer, token: str) -> None:
        self.server = server
        self.token = token
        described = httpx.get(f"{server.root}/openapi.json", trust_env=False).json()
        self.documented = [
            (method.upper(), path)
            for path, methods in described["paths"].items()
            for method in methods
        ]
        told = httpx.get(f"{server.base_url}/metadata", trust_env=False).json()
        self.parameters = {
            each["type"]: [parameter["name"] for parameter in each.get("searchParam", ())]
            for each in told["rest"][0]["resource"]
        }

    def check(self, seed: int, *tokens: str, closed: bool) -> None:
        """Send random requests. closed: to somebody who may see nothing."""
        fuzzer = Fuzzer(seed, self.documented, self.parameters, tokens)
        for method, head, body in fuzzer.requests(COUNT):
            answer = exchange(self.server, head, body, method=method)
            shown = f"seed {seed}: {head!r} {body!r}\n{answer}"
            assert answer.status < 500 or _is_archive(head, answer), shown
            assert not _INSIDES.search(answer.body), shown
            if closed:
                assert SECRET_NAME.encode() not in answer.body, shown
                assert SECRET_VALUE.encode() not in answer.body, shown
        self._is_well()

    def _is_well(self) -> None:
        log = self.server.log.read_text()
        assert '"level": "ERROR"' not in log, log[-5000:]
        assert "Traceback" not in log, log[-5000:]
        assert SECRET_NAME not in log
        assert SECRET_VALUE not in log
        headers = {"Authorization": f"Bearer {self.token}"}
        found = httpx.get(f"{self.server.base_url}/Patient/p", headers=headers, trust_env=False)
        assert found.status_code in (200, 410), found.text


def _is_archive(head: bytes, answer: Answer) -> bool:
    """Whether it says that the archive of images does not answer, of which there is none here."""
    return b" /dicom" in head and answer.status in (502, 503) and bool(answer.outcome)


@pytest.fixture(scope="module")
def doors(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A server with a patient."""
    connections = Connections(database)
    program = NewProgram("fuzzer", "system/*.cruds", "client_secret_post", ["client_credentials"],
                         roles=["administrator"])  # fmt: skip
    secret = Administration(connections).add_program(program)
    connections.close()
    options = [
        "--database-url", database, "--workers", "1", "--authentication", "embedded",
        "--access-token-minutes", "60", "--failures-per-minute", "1000000",
        "--orthanc-url", f"http://127.0.0.1:{free_port()}",
    ]  # fmt: skip
    with running_server(tmp_path_factory.mktemp("fuzz"), *options) as server:
        form = {
            "grant_type": "client_credentials", "client_id": "fuzzer", "client_secret": secret,
            "scope": "system/*.cruds",
        }  # fmt: skip
        given = httpx.post(f"{server.root}/auth/token", data=form, trust_env=False)
        assert given.status_code == 200, given.text
        found = Doors(server, given.json()["access_token"])
        headers = {"Authorization": f"Bearer {found.token}"}
        stored = httpx.put(
            f"{server.base_url}/Patient/p", json=PATIENT, headers=headers, trust_env=False
        )
        assert stored.status_code == 201, stored.text
        yield found


def test_nobody_without_a_token_breaks_anything_or_learns_of_patients(doors: Doors) -> None:
    doors.check(1, closed=True)


def test_nobody_with_a_wrong_token_does(doors: Doors) -> None:
    head, payload, signature = doors.token.split(".")
    wrong = (f"{head}.{payload}.AAAA{signature[4:]}", f"{head}.{payload}.", secrets.token_hex(20))
    doors.check(2, *wrong, closed=True)


def test_whoever_may_do_everything_breaks_nothing(doors: Doors) -> None:
    doors.check(3, doors.token, closed=False)
