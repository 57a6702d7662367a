"""What a validation finds, and what it has to ask first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.outcome import Issue

_SOURCE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-source"


@dataclass(frozen=True, slots=True)
class Finding(Issue):
    """An issue with the rule it breaks.

    profile: canonical of the StructureDefinition that has the rule.
    rule: the key of an invariant, or what it is called in R4 elementdefinition.html: `min`, `max`,
        `type`, `fixed`, `pattern`, `slicing`, `binding`, `targetProfile`, `maxLength`, …
    """

    profile: str = ""
    rule: str = ""

    def to_fhir(self) -> dict[str, Any]:
        """The issue with its profile as the source of the rule and its key as details."""
        made = Issue.to_fhir(self)
        if self.rule:
            made["details"] = {"coding": [{"code": self.rule}]}
        if self.profile:
            made = {"extension": [{"url": _SOURCE, "valueString": self.profile}], **made}
        return made


class Question(NamedTuple):
    """Is a code in a value set? An empty system is any system of the value set."""

    value_set: str
    system: str
    code: str


# What is known of questions; None is what nobody can tell.
Answers = Mapping[Question, bool | None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a validation found.

    questions: what has to be answered before `findings` are final; usually empty.
    """

    findings: tuple[Finding, ...]
    questions: frozenset[Question] = frozenset()

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong; warnings and information are not."""
        return not any(each.severity in ("error", "fatal") for each in self.findings)
