"""Images of several territories: each has an archive of its own, or none."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fhir_server.storage.migrate import migrate
from tests.conftest import FHIR_JSON
from tests.dicom.conftest import StartOrthanc, start_orthanc
from tests.dicom.hospital import served
from tests.uploads.sending import files

__all__ = ["start_orthanc"]


@pytest.fixture(scope="module")
def settings(
    start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, object]:
    """The file with north's archive, and the archive of the first tenant."""
    own = start_orthanc()
    path: Path = tmp_path_factory.mktemp("tenants") / "tenants.yaml"
    north = {
        "orthanc_url": own.url,
        "orthanc_user": own.settings.user,
        "orthanc_password": own.settings.password,
        "orthanc_poll": 0.2,
    }
    path.write_text(json.dumps({"tenants": {"north": north}}))
    return path, start_orthanc()


@pytest.fixture(scope="module")
async def client(database: str, settings: tuple[Path, object]) -> AsyncIterator[httpx.AsyncClient]:
    """A client at the root of a server with the tenants default, north and bare."""
    path, orthanc = settings
    for tenant in ("north", "bare"):
        migrate(database, tenant)
    async with served(database, orthanc, tenants_config=path) as found:  # type: ignore[arg-type]
        found.base_url = httpx.URL("http://test")
        yield found


async def upload(client: httpx.AsyncClient, tenant: str) -> str:
    """A new image there. Returns the UID of its study."""
    (content,) = files()
    answer = await client.post(
        f"/t/{tenant}/dicom/uploads",
        content=content,
        headers={"Content-Type": "application/dicom"},
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()["parameter"]
    parts = next(each["part"] for each in told if each["name"] == "file")
    uid = next(each["valueOid"] for each in parts if each["name"] == "study")
    return str(uid).removeprefix("urn:oid:")


async def test_studies_are_seen_in_their_own_territory_alone(client: httpx.AsyncClient) -> None:
    uids = {tenant: await upload(client, tenant) for tenant in ("default", "north")}
    for mine, other in (("default", "north"), ("north", "default")):
        for prefix, headers in ((f"/t/{mine}", {}), ("", {"X-Tenant": mine})):
            base = f"{prefix}/dicom-web/studies"
            for _ in range(300):
                rows = await client.get(base, headers=headers)
                if rows.status_code == 200 and uids[mine] in rows.text:
                    break
                await asyncio.sleep(0.05)
            assert uids[mine] in rows.text
            assert uids[other] not in rows.text
            for part in ("", "/metadata", "/series", "/instances"):
                answer = await client.get(f"{base}/{uids[other]}{part}", headers=headers)
                assert answer.status_code == 404, (mine, part)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dicom-web/studies"),
        ("GET", "/dicom-web/studies/1.2.3/metadata"),
        ("POST", "/dicom/uploads"),
        ("POST", "/dicom-web/studies"),
    ],
)
async def test_a_territory_without_an_archive_uses_no_others(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, f"/t/bare{path}", headers=FHIR_JSON)
    assert answer.status_code == 404
    assert "no image archive" in answer.text
    assert (await client.request(method, f"/t/nowhere{path}")).status_code == 403
