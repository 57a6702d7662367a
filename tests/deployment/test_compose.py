import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server import cli
from fhir_server.settings import Settings
from fhir_server.transport import exposure

ROOT = Path(__file__).parents[2]
SECRETS = {
    "POSTGRES_PASSWORD": "postgres-secret",
    "POSTGRES_SERVER_PASSWORD": "server-secret",
    "ORTHANC_USER": "bridge",
    "ORTHANC_PASSWORD": "orthanc-secret",
    "ORTHANC_HINT_SECRET": "hint-secret",
}


def compose_command() -> list[str]:
    """Compose as a plugin of docker, or the stand-alone program."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and run([*command, "version"], {}).returncode == 0:
            return command
    pytest.skip("neither `docker compose` nor `docker-compose` is installed")


def run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        command, cwd=ROOT, env=environment | variables, capture_output=True, text=True, check=False
    )


def config(variables: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The file as compose resolves it; a developer's own .env must not leak in."""
    for name in ("docker-compose.yml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "orthanc", tmp_path / "orthanc")
    file = str(tmp_path / "docker-compose.yml")
    return run(
        [*compose_command(), "-f", file, "--project-directory", str(tmp_path), "config"], variables
    )


def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return dict(loaded["services"])


def dockerfile_argument(instruction: str) -> list[str]:
    """The JSON form of an instruction's command."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith(instruction))
    return list(yaml.safe_load(line[line.index("[") :]))


def test_compose_accepts_the_file(tmp_path: Path) -> None:
    result = config(SECRETS, tmp_path)
    assert result.returncode == 0, result.stderr
    resolved = yaml.safe_load(result.stdout)
    assert set(resolved["services"]) == {"server", "postgres", "orthanc"}
    assert (
        "server-secret" in resolved["services"]["server"]["environment"]["FHIR_SERVER_DATABASE_URL"]
    )


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_compose_refuses_to_start_without_a_secret(missing: str, tmp_path: Path) -> None:
    result = config({k: v for k, v in SECRETS.items() if k != missing}, tmp_path)
    assert result.returncode != 0
    assert "set it in .env" in result.stderr


def test_example_names_every_secret_and_gives_none() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert {f"{name}=" for name in SECRETS} <= set(lines)


def test_every_variable_given_to_the_server_is_a_setting() -> None:
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "docker-compose.yml").read_text()
    given = {name.lower() for name in re.findall(r"\bFHIR_SERVER_([A-Z_]+)\s*[:=]", text)}
    assert {"database_url", "host", "data_dir"} <= given
    assert given <= set(Settings.model_fields)


def test_every_service_has_a_health_check_and_restarts() -> None:
    for name, service in services().items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name


def test_only_the_server_reaches_the_database() -> None:
    members = {name for name, service in services().items() if "database" in service["networks"]}
    assert members == {"server", "postgres"}
    assert "ports" not in services()["postgres"]


def test_orthanc_runs_our_script_and_has_no_pages_of_its_own() -> None:
    environment = services()["orthanc"]["environment"]
    mounts = [each.split(":") for each in services()["orthanc"]["volumes"]]
    assert ["./orthanc/bridge.py", environment["ORTHANC__PYTHON_SCRIPT"], "ro"] in mounts
    assert environment["ORTHANC_EXPLORER_2_ENABLED"] == "false"


def test_the_fhir_server_does_not_wait_for_orthanc() -> None:
    assert set(services()["server"]["depends_on"]) == {"postgres"}


@pytest.mark.parametrize(
    "command",
    [
        dockerfile_argument("ENTRYPOINT") + dockerfile_argument("CMD"),
        dockerfile_argument("HEALTHCHECK"),
        dockerfile_argument("ENTRYPOINT") + services()["server"]["command"],
        services()["server"]["healthcheck"]["test"][1:],
    ],
    ids=["image command", "image health check", "compose command", "compose health check"],
)
def test_commands_are_known_to_the_cli(command: list[str]) -> None:
    program, *arguments = command
    assert program == "fhir-server"
    cli.parser().parse_args(arguments)


def test_the_server_in_a_container_may_start() -> None:
    """It listens for other machines, which it refuses to without authentication."""
    text = (ROOT / "Dockerfile").read_text()
    host = re.search(r"FHIR_SERVER_HOST=(\S+)", text)
    way = services()["server"]["environment"]["FHIR_SERVER_AUTHENTICATION"]
    default = re.fullmatch(r"\$\{FHIR_AUTHENTICATION:-(\w+)\}", way)
    assert host is not None
    assert default is not None
    assert exposure(host[1], default[1]) == ""
