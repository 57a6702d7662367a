"""Where the resources of a script's fixtures come from (R4 TestScript.fixture)."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from fhir_server.conformance.content import Content, Held, NoResource
from fhir_server.conformance.model import Fixture, Script
from fhir_server.conformance.reading import Unreadable, decoded
from fhir_server.conformance.smallest import smallest
from fhir_server.spec import definitions
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.validator import Invariants
from fhir_server.validation.structure import StructureCheck

_LARGEST = 100_000_000
_ENDINGS = ("", ".json", ".xml")


class MissingFixture(Exception):
    """A fixture that cannot be had; says where it was looked for."""


def load(fixture: Fixture, script: Script, examples: Path | None = None) -> Content:
    """The content of a fixture, with its placeholders as they stand.

    examples: a folder of resources, one a file, for fixtures that ask for any of a type, and for
        references such as `Patient/example`.
    Raises MissingFixture.
    """
    what = f"the fixture '{fixture.id}'"
    if fixture.inline is not None:
        return Held(what, fixture.inline)
    if fixture.example_of is not None:
        return Held(what, _example(fixture.example_of, examples, what))
    reference = fixture.reference
    if not reference:
        raise MissingFixture(f"{what} has no resource")
    if reference.startswith("#"):
        if reference[1:] not in script.contained:
            raise MissingFixture(f"{what}: nothing is contained with the id '{reference[1:]}'")
        return Held(what, script.contained[reference[1:]])
    if reference in script.stored:
        return Held(what, script.stored[reference])
    if script.root is None:
        raise MissingFixture(
            f"{what}: {reference} is not stored here; expected a resource, '#id' of a contained"
            " one, or a reference such as Patient/example to one that this server has"
        )
    if "://" in reference or reference.startswith("urn:"):
        raise MissingFixture(f"{what}: {reference} is not fetched; expected a file or '#id'")
    return _from_file(what, reference, script, script.root, examples)


def _from_file(
    what: str, reference: str, script: Script, top: Path, examples: Path | None
) -> Content:
    for candidate, root in _candidates(reference, script, top, examples):
        try:
            path = candidate.resolve()
            if not path.is_relative_to(root.resolve()) or not path.is_file():
                continue
            if path.stat().st_size > _LARGEST:
                raise MissingFixture(f"{what}: {candidate} has more than {_LARGEST} bytes")
            return Content(what, path.read_bytes())
        except (OSError, ValueError) as error:
            raise MissingFixture(f"{what}: {candidate} cannot be read: {error}") from None
    raise MissingFixture(
        f"{what}: there is no file {reference} (or with .json or .xml) beside"
        f" {script.path.name} or anywhere it may be: {top}"
    )


def _candidates(
    reference: str, script: Script, top: Path, examples: Path | None
) -> Iterator[tuple[Path, Path]]:
    """Paths to try, each with the folder that it must be in."""
    dashed = reference.replace("/", "-")
    for ending in _ENDINGS:
        yield script.path.parent / (reference + ending), top
        yield top / (reference + ending), top
        if reference.count("/") == 1:
            yield script.path.parent / (dashed + ending), top
            if examples is not None:
                yield examples / (dashed + ending), examples


@lru_cache(maxsize=512)
def _example(type_: str, examples: Path | None, what: str) -> dict[str, Any]:
    """The plainest valid example of a type, or else the smallest resource that R4 allows."""
    for path in sorted(examples.glob(f"{type_}-*.json"), key=_plain_first) if examples else ():
        try:
            resource = Content(str(path), path.read_bytes()).resource
        except (NoResource, OSError):
            continue
        if resource.get("resourceType") == type_ and _is_valid(resource):
            return resource
    made = smallest(type_, definitions())
    if made is None:
        raise MissingFixture(f"{what} is any {type_}, which is no resource type of R4")
    return made


def _is_valid(resource: dict[str, Any]) -> bool:
    facts = definitions()
    if StructureCheck(facts).check(resource).issues:
        return False
    return Invariants(Profiles(lambda _: None, facts)).check(resource).valid


def _plain_first(path: Path) -> tuple[bool, int, str]:
    return not path.stem.endswith("-example"), len(path.name), path.name


def profile(reference: str, script: Script) -> dict[str, Any] | None:
    """The StructureDefinition in a file or contained; None for what is only named by its URL.

    Raises MissingFixture.
    """
    if "://" in reference or reference.startswith("urn:") or not reference:
        return None
    content = load(Fixture("profile", reference=reference), script)
    try:
        found = decoded(content.body) if not isinstance(content, Held) else content.resource
    except Unreadable as error:
        raise MissingFixture(f"the profile {reference}: {error}") from None
    if not isinstance(found, dict) or found.get("resourceType") != "StructureDefinition":
        raise MissingFixture(f"the profile {reference} is no StructureDefinition")
    return found
