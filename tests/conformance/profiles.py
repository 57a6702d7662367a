"""Profile validation on published examples, on snapshots, and on examples with one rule broken."""

import asyncio
import time
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fhir_server import fhir_json
from fhir_server.packages import Package, read
from fhir_server.spec import definitions
from fhir_server.terminology.value_set import ValueSetRules
from fhir_server.validation.profiles.answering import answered
from fhir_server.validation.profiles.findings import Finding, Question
from fhir_server.validation.profiles.library import Library
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.tree import ProfileFault, flat
from fhir_server.validation.profiles.validator import Validator
from fhir_server.validation.structure import StructureCheck
from tests.conformance.examples import invalid_examples
from tests.conformance.mutations import Mutation, mutations
from tests.conformance.score import Score
from tests.terminology.given import CTX, NO_STORE, terminology

Json = dict[str, Any]

EXCEPTIONS = Path(__file__).with_name("profile_exceptions.toml")
US_CORE = "packages/hl7.fhir.us.core-6.1.0.tgz"
# The definitions of R4 as a few Bundles; they hold nothing that the single files do not.
_LARGEST = 1_000_000


def exceptions(kind: str) -> dict[str, str]:
    """Reasons by name, of what is listed under `kind`."""
    listed = tomllib.loads(EXCEPTIONS.read_text()).get(kind, [])
    return {name: each["reason"] for each in listed for name in each["names"]}


def run(package: Path, suites: Path) -> list[Score]:
    """All scores of profile validation."""
    official = _files(package)
    with (suites / US_CORE).open("rb") as file:
        us_core = read(file)
    return [
        _official(official),
        _of_us_core(official, us_core),
        _snapshots(official, us_core),
        _mutated(official, us_core),
    ]


def _files(package: Path) -> dict[str, Json]:
    found = {}
    for path in sorted(package.glob("*.json")):
        if path.stat().st_size <= _LARGEST:
            resource = fhir_json.decode(path.read_bytes())
            if "resourceType" in resource:
                found[path.stem] = resource
    return found


def _structures(resources: Iterable[Json]) -> list[Json]:
    return [each for each in resources if each["resourceType"] == "StructureDefinition"]


def _by_url(resources: Iterable[Json]) -> dict[str, Json]:
    return {each["url"]: each for each in _structures(resources)}


class _Check:
    """A validator that knows some definitions and asks the terminology, as a server does."""

    def __init__(self, known: Iterable[Json], examples: Iterable[Json] = ()) -> None:
        known = list(known)
        self.structures = _by_url(known)
        terms = [each for each in known if each["resourceType"] in ("ValueSet", "CodeSystem")]
        self._value_sets = {each["url"] for each in terms if each["resourceType"] == "ValueSet"}
        self._terminology = terminology(*terms)
        self._answers: dict[Question, bool | None] = {}
        self._targets = {f"{each['resourceType']}/{each['id']}": each for each in examples}
        profiles = Profiles(
            lambda canonical: self.structures.get(canonical.partition("|")[0]), definitions()
        )
        self._validator = Validator(profiles, StructureCheck(definitions()))

    def findings(self, resource: Json) -> tuple[Finding, ...]:
        """What is found once all questions are answered."""
        while True:
            report = self._validator.validate(
                resource, answers=self._answers, resolver=self._targets.get
            )
            if not report.questions:
                return report.findings
            self._answers |= self._answered(report.questions)

    def _answered(self, questions: Iterable[Question]) -> dict[Question, bool | None]:
        return asyncio.run(answered(questions, self._value_set))

    async def _value_set(self, canonical: str) -> ValueSetRules:
        return await self._terminology.value_set(CTX, NO_STORE, canonical)

    def errors(self, resource: Json) -> list[str]:
        """The errors, for a person."""
        return _errors(self.findings(resource))

    def answerable(self) -> set[str]:
        """The value sets of which every code is known."""
        questions = [Question(url, "", "no-such-code") for url in self._value_sets]
        return {
            each.value_set for each, is_in in self._answered(questions).items() if is_in is False
        }


def _errors(findings: tuple[Finding, ...]) -> list[str]:
    return [
        f"{each.rule} at {each.expression}: {each.diagnostics}"
        for each in findings
        if each.severity == "error"
    ]


def _official(official: dict[str, Json]) -> Score:
    """Every official example against R4, its own profiles and the extensions R4 defines."""
    started = time.monotonic()
    structures = _structures(official.values())
    check = _Check(structures)
    score = Score("official examples validated", 0, 0)
    excused = exceptions("official").keys() | {
        name for invalid in invalid_examples() for name in invalid.names
    }
    for name, resource in official.items():
        score.cases += 1
        errors = check.errors(resource)
        if bool(errors) is (name in excused):
            score.passed += 1
        else:
            score.failures.append(f"{name}: {errors[:2] or 'is valid, but listed as an exception'}")
    score.seconds = time.monotonic() - started
    return score


def _of_us_core(official: dict[str, Json], us_core: Package) -> Score:
    """US Core's examples against the profiles they claim, referring to one another."""
    started = time.monotonic()
    check = _Check((*_structures(official.values()), *us_core.resources), us_core.examples)
    score = Score("us core examples validated", 0, 0)
    excused = exceptions("us-core")
    for resource in us_core.examples:
        name = f"{resource['resourceType']}/{resource['id']}"
        score.cases += 1
        errors = check.errors(resource)
        if bool(errors) is (name in excused):
            score.passed += 1
        else:
            score.failures.append(f"{name}: {errors[:2] or 'is valid, but listed as an exception'}")
    score.seconds = time.monotonic() - started
    return score


# snapshots


def _snapshots(official: dict[str, Json], us_core: Package) -> Score:
    """Published snapshots made again from their differentials."""
    started = time.monotonic()
    structures = _by_url((*official.values(), *us_core.resources))
    score = Score("snapshots made again", 0, 0)
    excused = exceptions("snapshots")
    for url, published in structures.items():
        if published.get("derivation") != "constraint" or not published.get("snapshot"):
            continue
        if "differential" not in published:
            continue
        score.cases += 1
        differences = _differences(url, published, structures)
        if bool(differences) is (url in excused):
            score.passed += 1
        else:
            score.failures.append(f"{url}: {differences[:3] or 'is equal, but listed'}")
    score.seconds = time.monotonic() - started
    return score


def _differences(url: str, published: Json, structures: Mapping[str, Json]) -> list[str]:
    bare = {key: value for key, value in published.items() if key != "snapshot"}
    library = Library(
        lambda canonical: bare if canonical == url else structures.get(canonical.partition("|")[0]),
        definitions(),
    )
    try:
        made = library.snapshot(url)
    except ProfileFault as fault:
        return [fault.why]
    assert made is not None
    ours = {each["id"]: _facts(each) for each in flat(made)}
    theirs = {each["id"]: _facts(each) for each in published["snapshot"]["element"]}
    return [
        f"{id_}: {theirs.get(id_)} is made {ours.get(id_)}"
        for id_ in (*theirs, *(ours.keys() - theirs.keys()))
        if ours.get(id_) != theirs.get(id_)
    ]


_COPIED = ("min", "max", "maxLength", "sliceName")
_VALUES = ("fixed", "pattern", "minValue", "maxValue")


def _facts(element: Json) -> Json:
    """What an element demands of a resource."""
    slicing, binding = element.get("slicing") or {}, element.get("binding") or {}
    return {key: element[key] for key in element if key in _COPIED or key.startswith(_VALUES)} | {
        "content": element.get("contentReference", "").rpartition("#")[2],
        "types": [
            (each["code"], sorted(each.get("profile", ())), sorted(each.get("targetProfile", ())))
            for each in element.get("type", ())
        ],
        "binding": (binding.get("strength"), binding.get("valueSet")),
        "constraints": sorted(each["key"] for each in element.get("constraint", ())),
        "slicing": (
            slicing.get("rules"),
            bool(slicing.get("ordered")),
            [(each["type"], each["path"]) for each in slicing.get("discriminator", ())],
        ),
    }


# mutations

_MOST_EXAMPLES = 3


def _mutated(official: dict[str, Json], us_core: Package) -> Score:
    """Examples with one rule broken: the right rule must be told at the right place."""
    started = time.monotonic()
    check = _Check((*_structures(official.values()), *us_core.resources), us_core.examples)
    known = check.answerable()
    score = Score("mutations found", 0, 0)
    profiles: dict[str, int] = {}
    for resource in (*us_core.examples, *official.values()):
        for canonical in resource.get("meta", {}).get("profile", ()):
            profile = check.structures.get(canonical.partition("|")[0])
            if profile is None or profile["type"] != resource["resourceType"]:
                continue
            if profiles.get(canonical, 0) >= _MOST_EXAMPLES or check.errors(resource):
                continue
            profiles[canonical] = profiles.get(canonical, 0) + 1
            for mutation in mutations(resource, profile, known):
                score.cases += 1
                found = check.findings(mutation.resource)
                if told(mutation, found):
                    score.passed += 1
                else:
                    score.failures.append(
                        f"{resource['id']}, {profile['id']}: {mutation.name}: expected"
                        f" {sorted(mutation.rules)} at {mutation.place}, found {_errors(found)[:3]}"
                    )
    score.seconds = time.monotonic() - started
    return score


def told(mutation: Mutation, findings: tuple[Finding, ...]) -> bool:
    """Whether the broken rule is reported where it is broken."""
    return any(
        each.severity == "error"
        and each.rule in mutation.rules
        and each.expression == mutation.place
        for each in findings
    )
