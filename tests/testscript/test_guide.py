"""The guide's scripts do what it says."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.cli import parser
from fhir_server.conformance.client import Client
from fhir_server.conformance.reading import read
from fhir_server.conformance.results import Result
from fhir_server.conformance.runner import Options, run
from fhir_server.conformance.server import Server
from tests.testscript.conftest import BASE_URL

PAGE = (Path(__file__).parents[2] / "docs" / "testscripts.md").read_text()
BLOCKS: list[dict[str, Any]] = [json.loads(each) for each in re.findall(r"```json\n(.+?)```", PAGE, re.S)]  # fmt: skip # noqa: E501


@pytest.mark.parametrize("number", [0, 1])
async def test_the_scripts_of_the_guide_pass(
    application: httpx.ASGITransport, tmp_path: Path, number: int
) -> None:
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "patient.json").write_text(json.dumps(BLOCKS[2]))
    path = tmp_path / "script.json"
    path.write_text(json.dumps(BLOCKS[number]))
    async with Client([BASE_URL], transport=application) as client:
        result = await run(read(path), Server(client, {1: BASE_URL}), Options())
    assert not result.failed, [part.message for part in result.parts]
    assert {part.result for part in result.parts} <= {Result.PASS, Result.WARNING}
    assert result.tests


def test_every_option_stands_in_the_guide() -> None:
    commands = next(each for each in parser()._actions if each.dest == "command")
    assert isinstance(commands.choices, dict)
    options = {flag for each in commands.choices["test"]._actions for flag in each.option_strings}
    for flag in options - {"-h", "--help", "--quiet"}:
        assert f"`{flag}" in PAGE, flag
