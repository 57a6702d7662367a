"""The official examples in the search index: extraction agrees with a plain reading of them."""

import time
from pathlib import Path

from fhir_server import fhir_json
from fhir_server.spec import definitions
from tests.conformance.score import Score
from tests.search.plain_reading import differences

# The definitions of R4 as a few Bundles; they hold nothing that the single files do not.
_LARGEST = 1_000_000


def run(package: Path) -> list[Score]:
    """How many resources are indexed as the general FHIRPath engine reads them."""
    started = time.monotonic()
    score = Score("search index of official examples", 0, 0)
    for path in sorted(package.glob("*.json")):
        if path.stat().st_size > _LARGEST:
            continue
        resource = fhir_json.decode(path.read_bytes())
        if resource.get("resourceType") not in definitions().resource_types:
            continue
        told = differences(resource)
        score.cases += 1
        score.passed += not told
        score.failures += [f"{path.stem}: {'; '.join(told)}"] if told else []
    score.seconds = time.monotonic() - started
    return [score]
