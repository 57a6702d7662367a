"""The server's own operations are read like those of R4."""

import json
from pathlib import Path

import pytest

from fhir_server.packaged import folder
from fhir_server.spec import definitions
from fhir_server.spec.model import OperationParameter
from fhir_server.spec.operations import OWN_BASE, own_operations
from fhir_server.validation.structure import StructureCheck

FOLDER = folder("profiles") / "operations"
FILES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_own_operation_is_built_as_r4_defines_it(path: Path) -> None:
    definition = json.loads(path.read_bytes())
    assert not StructureCheck(definitions()).check(definition).issues
    assert definition["id"] == path.stem


def test_own_operations_stand_beside_those_of_r4() -> None:
    found = {each.url: each for each in definitions().operations}
    run = found[f"{OWN_BASE}/OperationDefinition/TestScript-run"]
    assert (run.code, run.resources, run.instance, run.type) == (
        "run",
        ("TestScript",),
        True,
        False,
    )
    variable = next(each for each in run.parameters if each.name == "variable")
    assert variable == OperationParameter(
        "variable",
        "in",
        0,
        None,
        parts=(
            OperationParameter("name", "in", 1, 1, "string"),
            OperationParameter("value", "in", 1, 1, "string"),
        ),
    )
    assert "http://hl7.org/fhir/OperationDefinition/ValueSet-expand" in found


def test_definition_under_another_url_is_refused_by_its_file(tmp_path: Path) -> None:
    given = {"resourceType": "OperationDefinition", "id": "a", "url": "http://example.org/a"}
    (tmp_path / "a.json").write_text(json.dumps(given))
    with pytest.raises(ValueError, match=f"a.json.*{OWN_BASE}/OperationDefinition/a"):
        list(own_operations(tmp_path))
