"""Is a resource what a script's profile says (assert.validateProfileId)."""

from collections.abc import Mapping
from typing import Any

from fhir_server.conformance.fixtures import profile
from fhir_server.conformance.model import Script
from fhir_server.spec import definitions
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.validator import Validator
from fhir_server.validation.structure import StructureCheck

_MOST_TOLD = 5


class UnknownProfile(Exception):
    """A profile that is neither R4's own nor among the script's files."""


class ProfileCheck:
    """The profiles of one script. Raises MissingFixture for a file that is not there."""

    def __init__(self, script: Script) -> None:
        self._canonicals: dict[str, str] = {}
        found: dict[str, Mapping[str, Any]] = {}
        for id_, reference in script.profiles.items():
            definition = profile(reference, script)
            canonical = reference if definition is None else str(definition.get("url"))
            self._canonicals[id_] = canonical
            if definition is not None:
                found[canonical] = definition
        facts = definitions()
        self._profiles = Profiles(lambda canonical: found.get(canonical.partition("|")[0]), facts)
        self._validator = Validator(self._profiles, StructureCheck(facts))

    def faults(self, id_: str, resource: dict[str, Any]) -> list[str]:
        """What is wrong with a resource, at most a few. Raises UnknownProfile."""
        canonical = self._canonicals[id_]
        if self._profiles.type_of(canonical) is None:
            raise UnknownProfile(f"the profile {canonical} is not known; give it as a file")
        report = self._validator.validate(resource, (canonical,))
        wrong = [
            f"{each.expression}: {each.diagnostics}"
            for each in report.findings
            if each.severity in ("error", "fatal")
        ]
        more = [f"and {len(wrong) - _MOST_TOLD} more"] if len(wrong) > _MOST_TOLD else []
        return wrong[:_MOST_TOLD] + more
