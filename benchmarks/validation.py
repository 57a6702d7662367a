"""Validation beside fhir.resources' parsing of the same resources, in one run.

usage: python -m benchmarks.validation DIRECTORY PACKAGE

DIRECTORY holds R4's definitions as JSON files, which scripts/fetch-definitions brings; PACKAGE is
an implementation guide with examples, such as US Core. Each example is parsed by fhir.resources,
held to R4 as every write is, and held to the profiles it claims as well. What is slowest in a round
depends on what else the machine does, so the best of several rounds is taken of each.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fhir_server import fhir_json
from fhir_server.packages import Package, read
from fhir_server.spec import definitions
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.run import Settings
from fhir_server.validation.profiles.tree import ProfileFault
from fhir_server.validation.profiles.validator import Invariants, Validator
from fhir_server.validation.structure import StructureCheck

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fhir.resources.R4B import get_fhir_model_class

Json = dict[str, Any]
_ROUNDS = 7
_SECONDS = 0.002
_ENTRIES = 1000


def structures(directory: Path, package: Package) -> dict[str, Json]:
    """All StructureDefinitions by URL."""
    files = sorted(directory.glob("StructureDefinition-*.json"))
    own = [fhir_json.decode(path.read_bytes()) for path in files]
    return {
        each["url"]: each
        for each in (*own, *package.resources)
        if each["resourceType"] == "StructureDefinition"
    }


class Comparison:
    """The ways to look at a resource.

    known: StructureDefinitions by URL.
    """

    def __init__(self, known: Mapping[str, Json]) -> None:
        self._known = known
        self._structure = StructureCheck(definitions())
        profiles = Profiles(self.find, definitions())
        self._invariants = Invariants(profiles)
        self._validator = Validator(profiles, self._structure)
        self._settings = Settings(warnings=False)

    def find(self, canonical: str) -> Json | None:
        """The StructureDefinition of a canonical."""
        return self._known.get(canonical.partition("|")[0])

    def structure(self, resource: Json) -> None:
        """Only the structure."""
        self._structure.check(resource)

    def base(self, resource: Json) -> None:
        """R4: structure, required bindings, invariants."""
        self._structure.check(resource)
        self._invariants.check(resource)

    def profile(self, resource: Json) -> None:
        """R4 and the profiles that are claimed."""
        self._validator.validate(resource, settings=self._settings)

    def thorough(self, resource: Json) -> None:
        """All that, and what only warns."""
        self._validator.validate(resource)

    def ways(self, resource: Json) -> dict[str, Callable[[], object]]:
        """What to compare for a resource."""
        model = get_fhir_model_class(resource["resourceType"])
        body = fhir_json.encode(resource)
        return {
            "fhir.resources": lambda: model.model_validate_json(body),
            "structure": lambda: self.structure(resource),
            "base": lambda: self.base(resource),
            "profile": lambda: self.profile(resource),
            "profile, warnings": lambda: self.thorough(resource),
        }


def measured(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The microseconds of each, in alternating rounds."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(_ROUNDS):
        for name, run in ways.items():
            count, started = 0, time.perf_counter()
            while (spent := time.perf_counter() - started) < _SECONDS:
                run()
                count += 1
            best[name] = min(best[name], spent / count * 1e6)
    return best


def bundle(resources: list[Json], count: int) -> Json:
    """A collection of copies of resources."""
    entries = [
        {"fullUrl": f"http://example.org/{index}", "resource": resources[index % len(resources)]}
        for index in range(count)
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def first_uses(comparison: Comparison, known: Mapping[str, Json]) -> list[float]:
    """The milliseconds that the first use of each profile takes."""
    spent = []
    for url, structure in known.items():
        if structure.get("derivation") == "constraint" and structure["type"] != "Extension":
            profiles = Profiles(comparison.find, definitions())
            started = time.perf_counter()
            profiles.type_of(url)
            try:
                profiles.profile(url)
            except ProfileFault:
                continue
            spent.append((time.perf_counter() - started) * 1e3)
    return sorted(spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.validation")
    parser.add_argument("directory", type=Path)
    parser.add_argument("package", type=Path)
    arguments = parser.parse_args()
    with arguments.package.open("rb") as file:
        package = read(file)
    known = structures(arguments.directory, package)
    comparison = Comparison(known)
    rows = []
    for resource in package.examples:
        ways = comparison.ways(resource)
        try:
            ways["fhir.resources"]()
        except ValueError:
            continue
        rows.append(measured(ways))
    print(f"{len(rows)} examples, median microseconds")
    for name in rows[0]:
        factors = sorted(row[name] / row["fhir.resources"] for row in rows)
        tenth = factors[int(len(factors) * 0.9)]
        print(
            f"  {name:20} {statistics.median(row[name] for row in rows):8.1f}"
            f"   of fhir.resources: median {statistics.median(factors):.2f},"
            f" slowest tenth {tenth:.2f}"
        )
    singles = [each for each in package.examples if each["resourceType"] not in ("Bundle",)]
    for count in (_ENTRIES // 10, _ENTRIES):
        whole = bundle(singles, count)
        spent = measured({"profile": partial(comparison.profile, whole)})["profile"]
        print(
            f"  bundle of {count}: {spent / 1e3:.1f} ms, {spent / count:.0f} microseconds an entry"
        )
    uses = first_uses(comparison, known)
    print(f"  first use of {len(uses)} profiles: median {statistics.median(uses):.1f} ms,")
    print(f"    slowest {uses[-1]:.1f} ms")


if __name__ == "__main__":
    main()
