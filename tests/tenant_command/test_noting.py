"""What is exported, in the audit trail."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fhir_server.cli import main
from fhir_server.tenant_command import noting
from tests.audit.conftest import audited, client_of


def observation(patient: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"of-{patient}",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"},
    }


async def test_an_export_is_found_among_who_looked_at_a_patient(
    own_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noting, "_TOGETHER", 2)
    exporting = ["tenant", "export", "default", "--database-url", own_database]
    async with audited(own_database, tmp_path / "audit") as app, client_of(app) as client:
        for id_ in ("a", "b", "c"):
            patient = {"resourceType": "Patient", "id": id_}
            (await client.put(f"Patient/{id_}", json=patient)).raise_for_status()
        (await client.put("Observation/of-gone", json=observation("gone"))).raise_for_status()
        (await client.delete("Patient/c")).raise_for_status()
        assert await asyncio.to_thread(main, [*exporting, str(tmp_path / "out")]) == 0
        expected = {"a": 1, "b": 1, "c": 0, "gone": 1}
        assert await counts(client, expected) == expected
        history = [*exporting, str(tmp_path / "history"), "--history"]
        assert await asyncio.to_thread(main, history) == 0
        expected = {"a": 2, "b": 2, "c": 1, "gone": 2}
        assert await counts(client, expected) == expected
        found = await client.get("AuditEvent?patient=Patient/a&subtype=export")
        event = found.json()["entry"][0]["resource"]
        assert event["type"]["code"] == "110106"
        assert event["agent"][0]["altId"].startswith("command:")
        verified = (await client.get("$verify-audit")).json()
        assert {"name": "valid", "valueBoolean": True} in verified["parameter"]


async def counts(client: Any, patients: dict[str, int]) -> dict[str, int]:
    """How often each patient was exported."""
    found = {}
    for id_ in patients:
        query = f"AuditEvent?patient=Patient/{id_}&subtype=export&_summary=count"
        found[id_] = (await client.get(query)).json()["total"]
    return found


def test_nothing_is_exported_that_cannot_be_noted(
    own_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr("fhir_server.tenant_command.exporting.note_export", fail)
    target = tmp_path / "out"
    words = ["tenant", "export", "default", str(target), "--database-url", own_database]
    assert main(words) == 1
    assert list(tmp_path.iterdir()) == []
