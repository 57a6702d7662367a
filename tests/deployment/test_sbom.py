"""What the server is made of, as those who have to know of vulnerabilities read it."""

import json
import subprocess
from pathlib import Path

from tests.deployment.test_locks import pins

ROOT = Path(__file__).parents[2]


def test_the_bill_of_materials_names_every_package_with_its_version(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    subprocess.run([ROOT / "scripts" / "sbom", file], check=True, timeout=120)
    found = json.loads(file.read_text())
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "fhir-server"
    named = {each["name"]: each["version"] for each in found["components"]}
    assert named == pins("requirements.runtime.lock")
    for each in found["components"]:
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        hashes = [h for place in each["externalReferences"] for h in place.get("hashes", ())]
        assert {"SHA-256"} == {h["alg"] for h in hashes}
