"""The HL7 v2 core can be used by any door: it knows nothing of the server around it."""

import ast
from pathlib import Path

import pytest

import fhir_server.hl7v2

FILES = sorted(Path(fhir_server.hl7v2.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_the_standard_library_and_the_core_itself_are_imported(path: Path) -> None:
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
    assert {alias.name for node in found for alias in node.names} <= {"codecs", "re"}
    modules = {
        node.module or ""
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    ours = {name for name in modules if name.startswith("fhir_server")}
    assert all(name.startswith("fhir_server.hl7v2.") for name in ours)
    allowed = {"collections.abc", "dataclasses", "datetime", "enum", "functools"}
    assert modules - ours <= allowed
