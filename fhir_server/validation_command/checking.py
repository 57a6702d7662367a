"""Holds a resource against R4, the profiles it claims and those asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.context import Context
from fhir_server.outcome import Invalid, Issue
from fhir_server.spec import definitions
from fhir_server.terminology import Terminology
from fhir_server.terminology.value_set import ValueSetRules
from fhir_server.validation.profiles.answering import answered
from fhir_server.validation.profiles.findings import Finding, Question
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.run import Settings
from fhir_server.validation.profiles.tree import ProfileFault
from fhir_server.validation.profiles.validator import Validator
from fhir_server.validation.structure import StructureCheck
from fhir_server.validation_command.known import NO_STORE, Known

Json = dict[str, Any]

_MOST_ANSWERS = 100_000
_CLAIMED_ELSEWHERE = Settings(claimed=False)


class Checker:
    """Validates one resource after another.

    demanded: canonicals of profiles that every resource of their type must conform to. Raises
    Invalid for those that are not known or cannot be used.
    """

    def __init__(self, known: Known, demanded: Iterable[str]) -> None:
        self._definitions = definitions()
        profiles = Profiles(known.structure, self._definitions)
        self._validator = Validator(profiles, StructureCheck(self._definitions))
        self._terminology = Terminology(known)
        self._context = Context()
        self._demanded = {each: _type(each, profiles) for each in demanded}
        self._answers: dict[Question, bool | None] = {}
        self.unused = dict(self._demanded)

    async def findings(self, resource: Any) -> tuple[Finding, ...]:
        """Everything that is wrong with a resource, and with those in it if it is a Bundle."""
        found = await self._concluded(resource, self._fitting(resource), Settings(), {})
        entries = list(_entries(resource)) if self._demanded else []
        targets = _targets(resource) if entries else {}
        for place, inner in entries:
            fitting = self._fitting(inner)
            if fitting:
                more = await self._concluded(inner, fitting, _CLAIMED_ELSEWHERE, targets)
                found += _further(found, (_placed(each, place) for each in more))
        return found

    async def _concluded(
        self,
        resource: Any,
        profiles: Sequence[str],
        settings: Settings,
        targets: Mapping[str, Json],
    ) -> tuple[Finding, ...]:
        report = await self._validator.conclude(
            resource,
            profiles,
            ask=self._ask,
            settings=settings,
            answers=self._answers,
            resolver=targets.get,
        )
        return report.findings

    async def _ask(self, questions: frozenset[Question]) -> dict[Question, bool | None]:
        given = await answered(questions, self._value_set)
        if len(self._answers) > _MOST_ANSWERS:
            self._answers.clear()
        self._answers |= given
        return given

    async def _value_set(self, canonical: str) -> ValueSetRules:
        return await self._terminology.value_set(self._context, NO_STORE, canonical)

    def _fitting(self, resource: Any) -> list[str]:
        """The demanded profiles that are about the type of a resource."""
        type_ = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(type_, str) or type_ not in self._definitions.types:
            return []
        fitting = [
            canonical
            for canonical, about in self._demanded.items()
            if self._definitions.is_a(type_, about)
        ]
        for canonical in fitting:
            self.unused.pop(canonical, None)
        return fitting


def _type(canonical: str, profiles: Profiles) -> str:
    try:
        profile = profiles.profile(canonical)
    except ProfileFault as fault:
        what = f"The profile {canonical} cannot be used: {fault}"
        raise Invalid(Issue("not-supported", what)) from None
    if profile is None:
        what = f"The profile {canonical} is not known: no package given has it."
        raise Invalid(Issue("not-found", what))
    return profile.type


def _entries(resource: Any) -> Iterator[tuple[str, Json]]:
    """The resources in a Bundle with their places."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Bundle":
        return
    entries = resource.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(inner, dict):
            yield f"Bundle.entry[{index}].resource", inner


def _targets(bundle: Json) -> dict[str, Json]:
    """The resources of a Bundle by what references may call them."""
    found = {}
    for entry in bundle["entry"]:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            found[f"{resource.get('resourceType')}/{resource.get('id')}"] = resource
            found[str(entry.get("fullUrl"))] = resource
    return found


def _further(known: Iterable[Finding], found: Iterable[Finding]) -> tuple[Finding, ...]:
    """What is not yet told of the same place, by whatever rule."""
    told = {(each.expression, each.diagnostics) for each in known}
    return tuple(each for each in found if (each.expression, each.diagnostics) not in told)


def _placed(finding: Finding, place: str) -> Finding:
    _, dot, below = finding.expression.partition(".")
    return replace(finding, expression=f"{place}{dot}{below}")
