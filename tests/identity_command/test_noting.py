"""What commands change of users and programs, in the audit trail."""

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from fhir_server.cli import main
from tests.audit.conftest import audited, client_of
from tests.identity.smart import PASSWORD, REDIRECT


async def test_who_was_given_what_is_told_and_no_secret(
    own_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FHIR_SERVER_DATABASE_URL", own_database)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    add = ("user", "add", "anna", "--role", "nurse", "--password-file", str(password))
    async with audited(own_database, tmp_path / "audit") as app, client_of(app) as client:
        for words, status in (
            (add, 0),
            (add, 1),
            (("user", "roles", "anna", "administrator", "doctor"), 0),
            (("user", "list"), 0),
            (("client", "add", "app", "--redirect-uri", REDIRECT, "--scope", "launch openid"), 0),
            (("client", "launch", "app", "--patient", "p1"), 0),
        ):
            assert await asyncio.to_thread(main, list(words)) == status, capsys.readouterr().err
        answer = await client.get("AuditEvent?_sort=date&type=110137")
        events = [each["resource"] for each in answer.json()["entry"]]
        assert [event["subtype"][0]["code"] for event in events] == [
            "user-add", "user-roles", "client-add", "client-launch"
        ]  # fmt: skip
        added, changed, registered, _ = map(options, events)
        assert added == {"name": ["anna"], "role": ["nurse"]}
        assert changed == {"name": ["anna"], "values": ["administrator", "doctor"]}
        assert registered["redirect_uri"] == [REDIRECT]
        assert PASSWORD not in json.dumps([added, changed, registered])
        looked = await client.get("AuditEvent?patient=Patient/p1&subtype=client-launch")
        assert len(looked.json()["entry"]) == 1


def options(event: dict[str, Any]) -> dict[str, list[str]]:
    """What an event says was asked."""
    (query,) = (each["query"] for each in event["entity"] if "query" in each)
    return parse_qs(b64decode(query).decode().partition("?")[2])
