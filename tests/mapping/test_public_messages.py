"""Published messages, where they are at hand: all become something, those of the scope valid R4."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir_json import decode, encode
from fhir_server.hl7v2 import read_payload
from fhir_server.validation_command.checking import Checker
from fhir_server.validation_command.known import Known
from tests.mapping.messages import mapper

FOLDER = Path(__file__).parents[3] / "shared" / "suites" / "hl7v2"
FILES = sorted(FOLDER.rglob("*.hl7"))


@pytest.fixture(scope="module")
def checker() -> Checker:
    """R4 and its invariants, without terminology of others."""
    return Checker(Known((), ()), ())


def resources(path: Path) -> list[Any]:
    """Everything that the messages of a file become, as it would be sent."""
    found: list[Any] = []
    for message in read_payload(path.read_bytes()).messages:
        mapped = mapper().convert(message)
        assert mapped.known or mapped.issues
        found += [each.resource for each in mapped.entries]
        found += [mapped.header] if mapped.header else []
    assert isinstance(decode(encode(found)), list)
    return [decode(encode(each)) for each in found]


@pytest.mark.parametrize("path", FILES or [None], ids=lambda path: path.stem if path else "none")
def test_published_message_becomes_valid_resources(path: Path | None, checker: Checker) -> None:
    if path is None:
        return
    found = asyncio.run(_findings(checker, resources(path)))
    assert found == []


async def _findings(checker: Checker, given: list[Any]) -> list[str]:
    return [
        f"{resource['resourceType']}: {finding.diagnostics}"
        for resource in given
        for finding in await checker.findings(resource)
        if finding.severity in ("error", "fatal")
    ]
