"""`python -m fhir_server.spec.build DIR`: writes the data from an unpacked FHIR package."""

import sys
from pathlib import Path

from fhir_server.spec.build.catalogues import compartments, operations, search_parameters
from fhir_server.spec.build.package import Package, write
from fhir_server.spec.build.terminology import terminology
from fhir_server.spec.build.types import types
from fhir_server.spec.build.value_sets import value_sets
from fhir_server.spec.load import DATA


def main(directory: str) -> None:
    """Read every definition of the package in `directory` and write the data files."""
    package = Package(Path(directory))
    built = {
        "types": types(package),
        "search_parameters": search_parameters(package),
        "compartments": compartments(package),
        "operations": operations(package),
    }
    built["value_sets"] = value_sets(package, built["types"])
    built["terminology/code_systems"] = terminology(package, "CodeSystem")
    built["terminology/value_sets"] = terminology(package, "ValueSet")
    built["terminology/concept_maps"] = terminology(package, "ConceptMap")
    for name, entities in built.items():
        size = write(DATA / f"{name}.json", entities)
        sys.stdout.write(f"{name}: {len(entities)} ({size} bytes)\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m fhir_server.spec.build DIRECTORY")
    main(sys.argv[1])
