"""Validation: a resource against R4 and against profiles (R4 validation.html)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.nodes import root_node
from fhir_server.outcome import Issue
from fhir_server.validation.profiles.base import CORE
from fhir_server.validation.profiles.base_rules import BaseRules
from fhir_server.validation.profiles.extensions import check_extension
from fhir_server.validation.profiles.findings import Answers, Finding, Question, Report
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.run import Resolve, Run, Settings
from fhir_server.validation.profiles.tree import ProfileFault
from fhir_server.validation.structure import StructureCheck
from fhir_server.validation.turns import in_turns

# How the rule is called that an issue of the structure check is about.
_RULES = {"required": "min", "code-invalid": "binding", "invariant": "ext-1"}
_ROUNDS = 10
_FINE = Report(())

Ask = Callable[[frozenset[Question]], Awaitable[Mapping[Question, bool | None]]]


class Validator:
    """Validates resources; one for each generation of StructureDefinitions.

    structure: the check of what every resource of a type must be.
    """

    def __init__(self, profiles: Profiles, structure: StructureCheck) -> None:
        self.profiles = profiles
        self._structure = structure
        self._strict, self._thorough = (
            BaseRules(
                profiles.definitions,
                warnings=warnings,
                each_resource=_claimed,
                each_extension=check_extension,
            )
            for warnings in (False, True)
        )

    def validate(
        self,
        resource: Any,
        profiles: Iterable[str] = (),
        *,
        settings: Settings | None = None,
        answers: Answers | None = None,
        resolver: Resolve | None = None,
    ) -> Report:
        """Everything that is wrong with a decoded resource.

        profiles: canonicals it must conform to, beside those it claims itself.
        answers: what is known of codes. Where the report has questions, answer them and validate
            once more; until then its findings are not final.
        resolver: gives the resource behind a reference, for what is not in `resource` itself.
        """
        settings = settings or Settings()
        of_structure: tuple[Finding, ...] = ()
        if settings.structure:
            of_structure = _of_structure(resource, self._structure.check(resource).issues)
        root = root_node(resource)
        if root is None or any("nested too deeply" in each.diagnostics for each in of_structure):
            return Report(of_structure)
        run = Run(self.profiles, settings, {} if answers is None else answers, resolver)
        rules = self._thorough if settings.warnings else self._strict
        rules.check(root, run)
        for canonical in profiles:
            _demanded(canonical, root, run)
        return Report(_once((*of_structure, *run.findings)), frozenset(run.questions))

    async def conclude(
        self,
        resource: Any,
        profiles: Iterable[str] = (),
        *,
        ask: Ask,
        settings: Settings | None = None,
        answers: dict[Question, bool | None] | None = None,
        resolver: Resolve | None = None,
        large: bool | None = None,
    ) -> Report:
        """Like `validate`, with all questions of a round asked at once, and without a long stop.

        answers: what is known of codes; what is asked is added.
        ask: takes questions and gives an answer to each; None is what nobody can tell.
        large: whether the resource is (`validation.turns`), if that is known.
        """
        profiles = tuple(profiles)
        known: dict[Question, bool | None] = {} if answers is None else answers
        for _ in range(_ROUNDS):
            validate = partial(
                self.validate,
                resource,
                profiles,
                settings=settings,
                answers=known,
                resolver=resolver,
            )
            report = await in_turns(resource, validate, large=large)
            if not report.questions:
                return report
            given = await ask(report.questions)
            known |= {question: given.get(question) for question in report.questions}
        return report


class Invariants:
    """What every write is held to beside the structure check: R4's invariants and bindings.

    Takes resources that the structure check has taken. Codes that only a terminology can judge, of
    which R4 demands the currencies alone on every write, are taken as they are.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._rules = BaseRules(profiles.definitions, codes=profiles.at_once)
        self._settings = Settings(warnings=False)

    def check(self, resource: dict[str, Any]) -> Report:
        """The rules that a resource breaks."""
        root = None if self._rules.settled(resource) else root_node(resource)
        if root is None:
            return _FINE
        run = Run(self._profiles, self._settings, {}, None)
        self._rules.check(root, run)
        return Report(run.findings)


def _claimed(node: Node, run: Run) -> None:
    """Check a resource against the profiles it claims (R4 resource.html#Meta)."""
    if not run.settings.claimed:
        return
    meta = node.value.get("meta")
    claimed = meta.get("profile") if meta.__class__ is dict else None
    if claimed.__class__ is not list:
        return
    for canonical in claimed:
        if canonical.__class__ is str:
            profile = run.profiles.usable(canonical, node, run)
            if profile is not None:
                run.against(node, profile)


def _demanded(canonical: str, node: Node, run: Run) -> None:
    try:
        profile = run.profiles.profile(canonical)
    except ProfileFault as fault:
        run.unusable(node, fault, severity="error")
        return
    if profile is None:
        what = f"The profile {canonical} is not known here."
        run.report(node, "not-found", what, (canonical, "profile"))
        return
    run.against(node, profile)


def _of_structure(resource: Any, issues: Iterable[Issue]) -> tuple[Finding, ...]:
    name = resource.get("resourceType") if resource.__class__ is dict else None
    url = f"{CORE}{name}" if name.__class__ is str else ""
    return tuple(
        Finding(
            each.code,
            each.diagnostics,
            each.expression,
            each.severity,
            url,
            _RULES.get(each.code, each.code),
        )
        for each in issues
    )


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, however many rules say the same."""
    return tuple(dict.fromkeys(findings))
