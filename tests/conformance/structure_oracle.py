"""The structure check beside fhir.resources, on published examples and on random damage to them."""

import copy
import random
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhir_server import fhir_json
from fhir_server.outcome import Issue
from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck
from tests.conformance.score import Score

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fhir.resources.R4B import get_fhir_model_class

Json = dict[str, Any]

_SEED = 7
_EXAMPLES = 400
_DAMAGES = 3
_LARGEST = 60_000

_NUMBER = fhir_json.decode(b'{"number": 1.5}')["number"]

# What only we refuse, by the code of the issue, or by how its text begins.
_ONLY_OURS = {
    "value": "the form of a text: a URI, a reference, XHTML",
    "code-invalid": "a code that is none of a required value set",
    "invariant": "an extension has a value or extensions",
    "Expected a string (an instant), found the number": "it takes a number for seconds",
    "An array must not be empty": "nothing is empty in R4 (json.html)",
    "An object must have a value": "nothing is empty in R4 (json.html)",
}
# What only fhir.resources refuses, by its message.
_ONLY_THEIRS = {
    "._value": "it knows no extensions of the primitive values of extensions",
}


def run(package: Path) -> list[Score]:
    """How many resources both take or both refuse, or differ about for a reason that is known."""
    started = time.monotonic()
    score = Score("structure as fhir.resources sees it", 0, 0)
    for name, resource in samples(package):
        score.cases += 1
        difference = _difference(resource)
        score.passed += not difference
        score.failures += [f"{name}: {difference}"] if difference else []
    score.seconds = time.monotonic() - started
    return [score]


def samples(package: Path) -> Iterator[tuple[str, Json]]:
    """Examples, the same ones in every run, each as it is and damaged in some ways."""
    chance = random.Random(_SEED)
    paths = [path for path in sorted(package.glob("*.json")) if path.stat().st_size <= _LARGEST]
    chance.shuffle(paths)
    found = 0
    for path in paths:
        resource = fhir_json.decode(path.read_bytes())
        if found < _EXAMPLES and _is_known(resource.get("resourceType", "")):
            found += 1
            yield path.stem, resource
            for number in range(_DAMAGES):
                how, damaged = _damaged(resource, chance)
                yield f"{path.stem}, damage {number}: {how}", damaged


def _is_known(name: str) -> bool:
    try:
        get_fhir_model_class(name)
    except (KeyError, ValueError):
        return False
    return True


def _damaged(resource: Json, chance: random.Random) -> tuple[str, Json]:
    resource = copy.deepcopy(resource)
    where = chance.choice([each for each in _objects(resource) if each.keys() - {"resourceType"}])
    key = chance.choice([each for each in where if each != "resourceType"])
    how = chance.choice(("drop", "unknown", "wrap", "text", "number", "object", "empty"))
    is_list = isinstance(where[key], list)
    if how == "drop":
        del where[key]
    elif how == "unknown":
        where[key + "Foo"] = 1
    elif how == "wrap":
        where[key] = where[key][0] if is_list else [where[key]]
    else:
        empty: Any = [] if is_list else {}
        where[key] = {"text": "not right!", "number": _NUMBER, "object": {"foo": 1}}.get(how, empty)
    return f"{how} {key}", resource


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from _objects(each)


_STRUCTURE = StructureCheck(definitions())


def _difference(resource: Json) -> str:
    """Why the two do not agree, empty if they do or the reason is known."""
    issues, theirs = _STRUCTURE.check(resource).issues, _theirs(resource)
    if bool(issues) == bool(theirs):
        return ""
    if not issues:
        known = any(text in theirs for text in _ONLY_THEIRS)
        return "" if known else f"only fhir.resources refuses it: {theirs}"
    strange = [each for each in issues if not _is_only_ours(each)]
    return f"only we refuse it: {strange[0]}" if strange else ""


def _theirs(resource: Json) -> str:
    model = get_fhir_model_class(resource["resourceType"])
    try:
        model.model_validate_json(fhir_json.encode(resource))
    except (ValueError, TypeError, AttributeError) as error:
        # It ends in the last two where it wants a text and gets a number or an object.
        return str(error) or type(error).__name__
    return ""


def _is_only_ours(issue: Issue) -> bool:
    return issue.code in _ONLY_OURS or issue.diagnostics.startswith(tuple(_ONLY_OURS))
