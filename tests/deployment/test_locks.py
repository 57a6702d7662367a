import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;]+)", text, re.MULTILINE))


def test_image_gets_the_versions_that_were_tested() -> None:
    tested = pins("requirements.lock")
    runtime = pins("requirements.runtime.lock")
    assert runtime
    assert {name: tested.get(name) for name in runtime} == runtime


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[\[>=<]", line)[0] for line in project["dependencies"]}
    assert named <= set(pins("requirements.runtime.lock"))
    extra = {
        re.split(r"[\[>=<]", line)[0].lower().replace(".", "-")
        for line in project["optional-dependencies"]["dev"]
    }
    assert extra <= set(pins("requirements.lock"))
