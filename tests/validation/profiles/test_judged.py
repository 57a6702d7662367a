"""What is decided without FHIRPath is decided as FHIRPath does."""

import itertools
from typing import Any

import pytest

from fhir_server.fhirpath import compile as compile_fhirpath
from fhir_server.fhirpath.nodes import elements, root_node
from fhir_server.spec import definitions
from fhir_server.validation.profiles.known_invariants import JUDGED

_PATHS = ("Patient", "Patient.a", "Patient.a.b", "Patientx.a", "Group", "Group.a")


@pytest.mark.parametrize(("key", "name"), [("sdf-8", "snapshot"), ("sdf-8a", "differential")])
@pytest.mark.parametrize("kind", ["resource", "logical"])
def test_paths_are_judged_as_fhirpath_judges_them(key: str, name: str, kind: str) -> None:
    constraints = definitions().types["StructureDefinition"].elements[name].constraints
    compiled = compile_fhirpath(
        next(each.expression for each in constraints if each.key == key), as_filters=True
    )
    for count in (1, 2, 3):
        for paths in itertools.product(_PATHS, repeat=count):
            view: dict[str, Any] = {"element": [{"path": path} for path in paths]}
            structure: dict[str, Any] = {
                "resourceType": "StructureDefinition",
                "kind": kind,
                "type": "Patient",
            }
            root = root_node(structure | {name: view})
            assert root is not None
            child = root.kind.children[name]
            assert child is not None
            node = next(iter(elements(root, child)))
            expected = compiled.evaluate_bool(node) is not False
            assert JUDGED[key](view, structure) is expected, paths
