"""A server that gives tokens, in this process: with users, programs and patients."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from joserfc.jwk import Key

from fhir_server.app import build
from fhir_server.identity.administration import Administration, NewProgram
from fhir_server.security.gate import OpenGate
from fhir_server.settings import Settings
from fhir_server.storage.identity.connections import Connections
from tests.identity.provider import ec_key, rsa_key
from tests.identity.smart import PASSWORD, REDIRECT, ROOT, SCOPES, Smart

PATIENTS = (
    {"resourceType": "Patient", "id": "p1", "name": [{"family": "Chalmers", "given": ["Peter"]}]},
    {
        "resourceType": "Patient",
        "id": "p2",
        "name": [{"family": "Chalmers", "given": ["Ann"]}],
        "identifier": [{"system": "urn:mrn", "value": "4711"}],
        "birthDate": "1974-12-25",
    },
    {"resourceType": "Practitioner", "id": "anna", "name": [{"family": "Arzt"}]},
)
KEYS: dict[str, Key] = {"RS384": rsa_key("backend-rsa"), "ES384": ec_key("backend-ec", "P-384")}


@pytest.fixture(scope="module")
def connections(database: str) -> Iterator[Connections]:
    found = Connections(database)
    yield found
    found.close()


@pytest.fixture(scope="module")
def administration(connections: Connections) -> Administration:
    found = Administration(connections)
    found.add_user("anna", PASSWORD, ["doctor"], fhir_user="Practitioner/anna", display="Anna Arzt")
    found.add_user("peter", PASSWORD, [], fhir_user="Patient/p1")
    found.add_program(NewProgram("app", SCOPES, "none", redirect_uris=[REDIRECT]))
    return found


@pytest.fixture(scope="module")
def other(administration: Administration) -> str:
    """The id of another program than `app`."""
    administration.add_program(NewProgram("other", SCOPES, "none", redirect_uris=[REDIRECT]))
    return "other"


@pytest.fixture(scope="module")
async def root(
    database: str, administration: Administration, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.ASGITransport]:
    """The application, whose base URL is `http://localhost:8080/fhir`."""
    open_app = build(Settings(database_pool=4), database, gate=OpenGate())
    async with (
        open_app.pages.router.lifespan_context(open_app.pages),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=open_app), base_url=ROOT) as client,
    ):
        for each in PATIENTS:
            url = f"/fhir/{each['resourceType']}/{each['id']}"
            answer = await client.put(url, json=each, headers={"Prefer": "return=minimal"})
            assert answer.status_code == 201, answer.text
    folder = tmp_path_factory.mktemp("audit")
    settings = Settings(database_pool=4, authentication="embedded", audit_dir=folder)
    app = build(settings, database)
    async with app.pages.router.lifespan_context(app.pages):
        yield httpx.ASGITransport(app=app)


@pytest.fixture
async def smart(root: httpx.ASGITransport) -> AsyncIterator[Smart]:
    """An application that cannot keep a secret, and a browser that has never been here."""
    async with httpx.AsyncClient(transport=root, base_url=ROOT) as browser:
        yield Smart(browser)


def public_keys() -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in KEYS.values()]}
