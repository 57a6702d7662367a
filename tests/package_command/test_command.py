"""`fhir-server package` against the real server, in a process of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.cli import main
from tests.conftest import RunningServer, running_server
from tests.validation_command.guide import (
    COLOUR_VALUES,
    COLOURS,
    FAVOURITE,
    NAMED,
    URL,
    write_package,
)

Json = dict[str, Any]


@pytest.fixture(scope="module")
def server(
    postgres: str, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), "--database-url", database) as running:
        yield running


class Command:
    """The command against one server."""

    def __init__(self, server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
        self._server = server
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        status = main(["package", *map(str, arguments), "--base-url", self._server.base_url])
        out, err = self._capsys.readouterr()
        return status, out, err

    def listed(self) -> dict[str, int]:
        status, out, _ = self("list")
        assert status == 0
        lines = (line.split("\t") for line in out.splitlines())
        return {code: int(count) for code, count in lines}

    def found(self, query: str) -> list[Json]:
        bundle = httpx.get(f"{self._server.base_url}/{query}").raise_for_status().json()
        return [each["resource"] for each in bundle.get("entry", ())]


@pytest.fixture
def package(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """The command; afterwards the server has no packages."""
    command = Command(server, capsys)
    yield command
    for code in command.listed():
        assert command("remove", code.replace("#", "@"))[0] == 0


def test_package_is_added_listed_and_removed(package: Command, tmp_path: Path) -> None:
    guide = write_package(tmp_path / "g.tgz")
    status, _, told = package("add", guide)
    assert (status, told) == (
        0,
        "example.guide#1.0.0: 4 resources: 4 created, 0 updated, 0 unchanged\n",
    )
    assert package.listed() == {"example.guide#1.0.0": 4}
    (profile,) = package.found(f"StructureDefinition?url={NAMED['url']}&version=1.0.0")
    assert profile["meta"]["tag"] == [
        {"system": "urn:fhir-server:package", "code": "example.guide#1.0.0"}
    ]
    assert package.found("Patient?_id=guide-example") == []

    status, _, told = package("remove", "example.guide")
    assert (status, told) == (0, "example.guide#1.0.0: 4 resources removed\n")
    assert package.listed() == {}
    assert package.found(f"StructureDefinition?url={NAMED['url']}") == []


def test_adding_again_changes_nothing(package: Command, tmp_path: Path) -> None:
    guide = write_package(tmp_path / "g.tgz")
    package("add", "--examples", guide)
    before = package.found("?_tag=urn:fhir-server:package|")
    status, _, _ = package("add", "--examples", guide)
    assert status == 0
    assert package.found("?_tag=urn:fhir-server:package|") == before
    assert package.listed() == {"example.guide#1.0.0": 5}
    assert len(package.found("Patient?_id=guide-example")) == 1


def test_two_versions_stand_beside_each_other(package: Command, tmp_path: Path) -> None:
    package("add", write_package(tmp_path / "1.tgz", NAMED, COLOURS))
    later = [each | {"version": "2.0.0"} for each in (NAMED, COLOURS)]
    package("add", write_package(tmp_path / "2.tgz", *later, version="2.0.0"))
    assert package.listed() == {"example.guide#1.0.0": 2, "example.guide#2.0.0": 2}
    assert package("remove", "example.guide@1.0.0")[0] == 0
    (left,) = package.found(f"StructureDefinition?url={NAMED['url']}")
    assert left["version"] == "2.0.0"
    package("add", tmp_path / "1.tgz")
    assert package("remove", "example.guide")[0] == 0
    assert package.listed() == {}


def test_definition_of_two_packages_stays_until_both_are_removed(
    package: Command, tmp_path: Path
) -> None:
    package("add", write_package(tmp_path / "1.tgz", COLOURS, COLOUR_VALUES))
    package("add", write_package(tmp_path / "2.tgz", COLOURS, name="example.colours"))
    assert package.listed() == {"example.guide#1.0.0": 2, "example.colours#1.0.0": 1}
    package("remove", "example.colours")
    assert package.listed() == {"example.guide#1.0.0": 2}
    assert len(package.found(f"CodeSystem?url={COLOURS['url']}")) == 1


def test_missing_dependencies_are_listed_and_nothing_is_stored(
    package: Command, tmp_path: Path
) -> None:
    guide = write_package(tmp_path / "g.tgz", NAMED, dependencies={"example.base": "2.0.x"})
    status, _, told = package("add", guide)
    assert status == 1
    assert "example.base#2.0.x, for example.guide#1.0.0" in told
    assert package.listed() == {}
    assert package("add", "--force", guide)[0] == 0
    assert package.listed() == {"example.guide#1.0.0": 1}


def test_dependencies_may_be_given_or_be_there(package: Command, tmp_path: Path) -> None:
    guide = write_package(tmp_path / "g.tgz", NAMED, dependencies={"example.base": "2.0.x"})
    base = write_package(tmp_path / "b.tgz", COLOURS, name="example.base", version="2.0.3")
    status, _, told = package("add", guide, base)
    assert status == 0
    assert told.index("example.base#2.0.3") < told.index("example.guide#1.0.0")
    package("remove", "example.guide")
    assert package("add", guide)[0] == 0


def test_refused_search_parameter_is_told_and_the_rest_stored(
    package: Command, tmp_path: Path
) -> None:
    broken = FAVOURITE | {"url": f"{URL}/SearchParameter/broken", "expression": "Patient.nothing("}
    status, _, told = package("add", write_package(tmp_path / "g.tgz", broken, COLOURS))
    assert status == 0
    assert f"SearchParameter {broken['url']}: 422: " in told
    assert "only these search parameters cannot be used" in told
    assert package.listed() == {"example.guide#1.0.0": 1}


def test_other_refused_resource_is_a_failure(package: Command, tmp_path: Path) -> None:
    broken = COLOURS | {"status": "sunny"}
    status, _, told = package("add", write_package(tmp_path / "g.tgz", broken, NAMED))
    assert status == 1
    assert f"CodeSystem {COLOURS['url']}: 4" in told
    assert "CodeSystem.status" in told
    assert package.listed() == {"example.guide#1.0.0": 1}


def test_package_that_is_not_there_is_told_with_those_that_are(
    package: Command, tmp_path: Path
) -> None:
    package("add", write_package(tmp_path / "g.tgz", NAMED))
    status, _, told = package("remove", "example.guide@9")
    assert status == 1
    assert "there is no package example.guide@9" in told
    assert "there are: example.guide#1.0.0" in told


def test_unreadable_package_and_absent_server_are_told(
    package: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, told = package("add", tmp_path / "absent.tgz")
    assert status == 1
    assert "absent.tgz cannot be read: No such file" in told
    (tmp_path / "a.tgz").write_bytes(b"nonsense")
    assert "a.tgz: Expected a .tgz" in package("add", tmp_path / "a.tgz")[2]
    assert main(["package", "list", "--base-url", "http://127.0.0.1:9/fhir"]) == 1
    assert "no server answers" in capsys.readouterr().err
