import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.load import command
from tests.load.scripted_server import ScriptedServer, scripted_server

Load = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def load(server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Run the command against the scripted server; gives exit status and report."""
    state = tmp_path_factory.mktemp("state")

    def run(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        report = state / "report.json"
        report.unlink(missing_ok=True)
        options = ["--base-url", server.base_url, "--journal", str(state / "journal"), "--quiet"]
        options += ["--report", str(report), *map(str, arguments)]
        status = command.run(parser.parse_args(options))
        return status, json.loads(report.read_text()) if report.exists() else {}

    return run
