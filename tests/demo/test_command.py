"""`fhir-server demo` as a person runs it."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_server.demo import command
from tests.conftest import RunningServer, free_port, running_server


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), "--database-url", database) as running:
        yield running


def demo(base_url: str, *options: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(["--base-url", base_url, "--quiet", *options]))


def test_a_hospital_is_made_once_and_another_by_another_seed(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo(server.base_url, "--patients", "10") == 0
    told = capsys.readouterr().out
    assert "30 orders" in told
    for url in re.findall(r"curl '(.*)'", told):
        answer = httpx.get(url)
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] > 0, url
    assert demo(server.base_url, "--patients", "4") == 0
    assert "is there already; nothing was added" in capsys.readouterr().out
    assert demo(server.base_url, "--patients", "4", "--seed", "2") == 0
    count = httpx.get(f"{server.base_url}/Organization?active=true&_summary=count").json()
    assert count["total"] == 2


def test_a_server_that_does_not_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(f"http://127.0.0.1:{free_port()}/fhir") == 1
    assert "fhir-server demo: http://127.0.0.1" in capsys.readouterr().err


def test_a_hospital_has_patients(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo("http://127.0.0.1:1/fhir", "--patients", "0") == 1
    assert "--patients" in capsys.readouterr().err


def test_its_data_is_part_of_the_package() -> None:
    assert {path.name for path in (Path(command.__file__).parent / "data").iterdir()} == {
        "orders.json",
        "people.json",
    }
