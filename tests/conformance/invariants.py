"""The invariants of R4 on its own examples: none may stop the engine, few are broken."""

import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fhir_server import fhir_json
from fhir_server.fhirpath import Compiled, FhirPathError, Node
from fhir_server.fhirpath import compile as compile_fhirpath
from fhir_server.fhirpath.nodes import children, root_node
from fhir_server.spec import Constraint, definitions
from tests.conformance.score import Score

# The definitions of R4 as a few Bundles; they hold nothing that the single files do not.
_LARGEST = 1_000_000


def run(package: Path) -> list[Score]:
    """How many resources keep every invariant that is an error."""
    started = time.monotonic()
    score = Score("invariants of official examples", 0, 0)
    for path in sorted(package.glob("*.json")):
        if path.stat().st_size > _LARGEST:
            continue
        resource = fhir_json.decode(path.read_bytes())
        root = root_node(resource) if "resourceType" in resource else None
        if root is None:
            continue
        score.cases += 1
        broken = sorted(set(violations(root)))
        score.passed += not broken
        score.failures += [f"{path.stem}: {', '.join(broken)}"] if broken else []
    score.seconds = time.monotonic() - started
    return [score]


def violations(root: Node) -> Iterator[str]:
    """The invariants that a resource breaks, and those that cannot be evaluated."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting += children(node)
        for key, compiled in (*_of_type(node.type), *_of_element(node)):
            try:
                if compiled.evaluate_bool(node) is False:
                    yield f"{key} at {node.path}"
            except FhirPathError as error:
                yield f"{key} raises {error}"


def _of_element(node: Node) -> tuple[tuple[str, Compiled], ...]:
    if node.parent is None or node.child is None:
        return ()
    return _of_child(node.parent.type, node.child.name)


@cache
def _of_type(name: str) -> tuple[tuple[str, Compiled], ...]:
    return _compiled(definitions().types[name].constraints)


@cache
def _of_child(parent: str, name: str) -> tuple[tuple[str, Compiled], ...]:
    return _compiled(definitions().types[parent].elements[name].constraints)


def _compiled(constraints: Any) -> tuple[tuple[str, Compiled], ...]:
    return tuple((c.key, _one(c)) for c in constraints if c.severity == "error")


def _one(constraint: Constraint) -> Compiled:
    return compile_fhirpath(constraint.expression, as_filters=True)
