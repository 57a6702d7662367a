import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKED = ["mappings", "migrations", "orthanc", "profiles"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with this environment's hatchling and without network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--no-index", "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def files_under(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("name", PACKED)
def test_wheel_holds_every_file_of_a_data_folder(wheel: Path, name: str) -> None:
    prefix = f"fhir_server/_packaged/{name}/"
    packed = {
        entry.removeprefix(prefix)
        for entry in zipfile.ZipFile(wheel).namelist()
        if entry.startswith(prefix)
    }
    assert packed == files_under(ROOT / name)
    assert packed


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"fhir_server/{name}" for name in files_under(ROOT / "fhir_server")}
    assert expected <= names
    assert any(name.startswith("fhir_server/spec/data/") for name in names)


def test_unpacked_wheel_finds_its_own_data(wheel: Path, tmp_path: Path) -> None:
    """No part may come from the checkout, so the interpreter runs isolated and elsewhere."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    script = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from fhir_server.packaged import folder\n"
        "from fhir_server.spec import definitions\n"
        f"print(*(folder(name) for name in {PACKED!r}), sep='\\n')\n"
        "assert 'Patient' in definitions().resource_types\n"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(site / "fhir_server/_packaged" / name) for name in PACKED]
