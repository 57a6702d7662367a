"""One validation on its way through a resource: what it found, asked and looked up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath import Node, Services
from fhir_server.fhirpath.environment import Entries, Environment
from fhir_server.fhirpath.nodes import root_node
from fhir_server.fhirpath.resolution import resolve
from fhir_server.validation.found import MOST_ISSUES
from fhir_server.validation.profiles.findings import Answers, Finding, Question
from fhir_server.validation.profiles.library import plain
from fhir_server.validation.profiles.tree import ProfileFault

if TYPE_CHECKING:
    from fhir_server.validation.profiles.profile import Profile, Profiles

# Gives the resource a reference points to; None if it is not at hand.
Resolve = Callable[[str], dict[str, Any] | None]

# Times that something is held against a profile it may or may not conform to.
_MOST_TRIALS = 20_000
_DEEPEST = 40


class Unknown(Enum):
    """What becomes of an extension that no StructureDefinition here defines."""

    IGNORE = ""
    INFORM = "information"
    WARN = "warning"
    REFUSE = "error"


@dataclass(frozen=True, slots=True)
class Settings:
    """How strict a validation is.

    claimed: whether the profiles that resources name in `meta.profile` are checked.
    unknown_extensions, unknown_modifiers: extensions without a definition.
    targets: whether what is referred to, if at hand, must conform to the profile asked of it.
    warnings: whether rules are checked that only warn.
    structure: whether the structure is checked, if that was not done before.
    """

    claimed: bool = True
    unknown_extensions: Unknown = Unknown.INFORM
    unknown_modifiers: Unknown = Unknown.REFUSE
    targets: bool = True
    warnings: bool = True
    structure: bool = True


class Run:
    """The state of one validation.

    answers: what is known of codes and value sets; other questions are gathered.
    """

    def __init__(
        self,
        profiles: "Profiles",
        settings: Settings,
        answers: Answers,
        resolver: Resolve | None,
    ) -> None:
        self.profiles = profiles
        self.settings = settings
        self.errors: list[Finding] = []
        self._others: list[Finding] = []
        self.questions: set[Question] = set()
        self._answers = answers
        self._given_resolver = resolver
        self._resolved: dict[str, dict[str, Any] | None] = {}
        self._environment = Environment(None)
        self._environment.resolver = self.resolver
        self.entries: Entries = {}
        self._environment.known_entries = self.entries
        self._trials: dict[tuple[int, str], bool | None] = {}
        # Values whose identity is in `_trials`: as long as they live it is theirs alone.
        self._kept: list[Any] = []
        self._depth = 0
        self.services = Services(member_of=self._member_of, conforms_to=self._conforms_to)

    # findings

    def report(
        self,
        node: Node,
        code: str,
        diagnostics: str,
        source: tuple[str, str],
        *,
        below: str = "",
        severity: str = "error",
    ) -> None:
        """Note a finding at `node`, or at its child `below`. `source` is profile and rule."""
        # Counted apart, so that no number of warnings hides an error.
        findings = self.errors if severity == "error" else self._others
        if len(findings) < MOST_ISSUES:
            place = f"{node.path}.{below}" if below else node.path
            findings.append(Finding(code, diagnostics, place, severity, *source))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, errors first."""
        return (*self.errors, *self._others)

    def unusable(self, node: Node, fault: ProfileFault, *, severity: str = "warning") -> None:
        """Note that a profile cannot be used here."""
        what = f"The profile {fault.url} cannot be used: {fault.why}"
        self.report(node, "not-supported", what, (fault.url, "profile"), severity=severity)

    # terminology

    def member(self, value_set: str, system: str, code: str) -> bool | None:
        """Whether a code is in a value set; None when nobody can tell, or not yet."""
        shipped = self.profiles.codes(value_set)
        if shipped is not None:
            if system:
                return code in shipped.get(system, ())
            return any(code in codes for codes in shipped.values())
        grammar = self.profiles.grammar(value_set)
        if grammar is not None:
            return system in ("", grammar[0]) and grammar[1](code)
        question = Question(value_set, system, code)
        try:
            return self._answers[question]
        except KeyError:
            self.questions.add(question)
            return None

    def answered(self, value_set: str, system: str, code: str) -> bool:
        """Whether there is an answer, be it that nobody can tell."""
        return Question(value_set, system, code) not in self.questions

    def _member_of(self, value: Any, _type: str, value_set: str) -> bool | None:
        codes = list(codes_of(value))
        known = [self.member(value_set, system, code) for system, code in codes]
        if any(known):
            return True
        return None if None in known else False

    # references

    def resolver(self, text: str) -> dict[str, Any] | None:
        """What the caller has for a reference, asked once."""
        if self._given_resolver is None:
            return None
        if text not in self._resolved:
            self._resolved[text] = self._given_resolver(text)
        return self._resolved[text]

    def target(self, reference: Node) -> Node | None:
        """The resource that a reference points to, if it is at hand."""
        return resolve(reference, self._environment)

    # profiles inside profiles

    def conforms(self, node: Node, canonical: str) -> bool | None:
        """Whether an element or resource conforms to a profile; None if that cannot be told."""
        key = (id(node.value), plain(canonical))
        if key in self._trials:
            return self._trials[key]
        if len(self._trials) >= _MOST_TRIALS or self._depth >= _DEEPEST:
            return None
        # What is being tried is taken to conform, so that circles of references end.
        self._trials[key] = True
        self._kept.append(node.value)
        try:
            profile = self.profiles.profile(canonical)
            result = None if profile is None else self.tried(lambda: profile.check(node, self))
        except ProfileFault:
            result = None
        self._trials[key] = result
        return result

    def tried(self, check: Callable[[], object]) -> bool:
        """Whether a check finds no error; what it finds is not reported."""
        outer = self.errors, self._others
        self.errors, self._others = [], []
        self._depth += 1
        try:
            check()
            return not self.errors
        finally:
            self._depth -= 1
            self.errors, self._others = outer

    def against(self, node: Node, profile: "Profile") -> None:
        """Check `node` against a profile and report what is wrong, once a node and profile."""
        key = (id(node.value), "reported " + profile.url)
        if key in self._trials:
            return
        self._trials[key] = True
        self._kept.append(node.value)
        if self._depth >= _DEEPEST:
            return
        self._depth += 1
        try:
            profile.check(node, self)
        finally:
            self._depth -= 1

    def _conforms_to(self, value: Any, type_name: str, canonical: str) -> bool | None:
        node = root_node(value, type_name)
        return None if node is None else self.conforms(node, canonical)


def codes_of(value: Any) -> list[tuple[str, str]]:
    """System and code of a code, Coding, CodeableConcept or Quantity."""
    if isinstance(value, str):
        return [("", value)]
    if not isinstance(value, Mapping):
        return []
    codings = value.get("coding") if "coding" in value else [value]
    if not isinstance(codings, list):
        return []
    return [
        (_text(coding.get("system")), coding["code"])
        for coding in codings
        if isinstance(coding, Mapping) and isinstance(coding.get("code"), str)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
