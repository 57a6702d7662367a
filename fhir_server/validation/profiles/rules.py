"""The rules an ElementDefinition has for one value (R4 elementdefinition.html)."""

from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath import FhirPathError, Node
from fhir_server.fhirpath import compile as compile_fhirpath
from fhir_server.fhirpath.model import NodeType
from fhir_server.fhirpath.nodes import root_node
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.tree import Json
from fhir_server.validation.profiles.values import equals, given, matches, told

_ABSTRACT = frozenset({"Element", "BackboneElement", "Resource", "DomainResource"})

# Takes a value that is there; reports to the run.
Rule = Callable[[Node, Run], None]


def value_rules(element: Json, url: str) -> list[Rule]:
    """Fixed and pattern values, the longest text, the least and the greatest value."""
    rules: list[Rule] = []
    fixed, is_fixed = given(element, "fixed")
    if is_fixed:
        rules.append(_fixed(fixed, url))
    pattern, is_pattern = given(element, "pattern")
    if is_pattern:
        rules.append(_pattern(pattern, url))
    longest = element.get("maxLength")
    if isinstance(longest, int):
        rules.append(_max_length(longest, url))
    for rule, operator in (("minValue", ">="), ("maxValue", "<=")):
        key = next((key for key in element if key.startswith(rule)), None)
        if key is not None:
            limit = root_node(element[key], _type_name(key.removeprefix(rule)))
            if limit is not None:
                rules.append(_limit(limit, rule, operator, url))
    return rules


def _type_name(suffix: str) -> str:
    lower = suffix[:1].lower() + suffix[1:]
    return suffix if suffix == "Quantity" else lower


def _fixed(fixed: Any, url: str) -> Rule:
    source = (url, "fixed")

    def check(node: Node, run: Run) -> None:
        if node.value is not None and not equals(node.value, fixed):
            what = f"Expected exactly {told(fixed)}, found {told(node.value)}."
            run.report(node, "value", what, source)

    return check


def _pattern(pattern: Any, url: str) -> Rule:
    source = (url, "pattern")

    def check(node: Node, run: Run) -> None:
        if node.value is not None and not matches(node.value, pattern):
            what = f"Expected at least {told(pattern)}, found {told(node.value)}."
            run.report(node, "value", what, source)

    return check


def _max_length(longest: int, url: str) -> Rule:
    source = (url, "maxLength")

    def check(node: Node, run: Run) -> None:
        value = node.value
        if value.__class__ is str and len(value) > longest:
            what = f"Expected at most {longest} characters, found {len(value)}."
            run.report(node, "value", what, source)

    return check


def _limit(limit: Node, rule: str, operator: str, url: str) -> Rule:
    within = compile_fhirpath(f"$this {operator} %limit")
    source = (url, rule)

    def check(node: Node, run: Run) -> None:
        if node.value is None:
            return
        try:
            fine = within.evaluate_bool(node, variables={"limit": limit})
        except FhirPathError as error:
            what = f"Cannot be compared with {told(limit.value)}: {error.problem}"
            run.report(node, "not-supported", what, source, severity="warning")
            return
        if fine is False:
            bound = "at least" if operator == ">=" else "at most"
            what = f"Expected {bound} {told(limit.value)}, found {told(node.value)}."
            run.report(node, "value", what, source)

    return check


def is_of(kind: NodeType, code: str) -> bool:
    """Whether a value of a type may stand where an ElementDefinition has the type `code`.

    A `code` is no `string` there, although it derives from it; any resource is a `Resource`.
    """
    return kind.name == code or (code in _ABSTRACT and code in kind.bases)


def type_rule(allowed: frozenset[str], url: str) -> Rule:
    """Which of the types of a choice are left."""
    source = (url, "type")

    def check(node: Node, run: Run) -> None:
        if not any(is_of(node.kind, code) for code in allowed):
            what = f"Expected {' or '.join(sorted(allowed))}, found {node.kind.name}."
            run.report(node, "structure", what, source)

    return check


def profile_rule(code: str, canonicals: tuple[str, ...]) -> Rule:
    """The profiles on a type, of which one must hold (R4 elementdefinition.html#type)."""

    def check(node: Node, run: Run) -> None:
        if not is_of(node.kind, code):
            return
        if len(canonicals) == 1:
            _against(node, canonicals[0], run)
            return
        results = [run.conforms(node, canonical) for canonical in canonicals]
        if True not in results and None not in results:
            what = f"Expected to conform to one of {', '.join(canonicals)}."
            run.report(node, "structure", what, (canonicals[0], "profile"))

    return check


def _against(node: Node, canonical: str, run: Run) -> None:
    profile = run.profiles.usable(canonical, node, run)
    if profile is not None:
        profile.check(node, run)


def constraint_rule(constraint: Json, url: str) -> Rule | None:
    """An invariant (R4 elementdefinition.html#constraint); None for one without FHIRPath."""
    expression = constraint.get("expression")
    if not isinstance(expression, str):
        return None
    key = str(constraint.get("key"))
    severity = str(constraint.get("severity") or "error")
    source = (url, key)
    told_as = f"{constraint.get('human') or expression} [{key}]"
    try:
        compiled = compile_fhirpath(expression, as_filters=True)
    except FhirPathError as error:
        return _not_evaluated(source, error)
    asks = any(word in expression for word in ("resolve(", "memberOf(", "conformsTo(", "subsume"))

    def check(node: Node, run: Run) -> None:
        if severity != "error" and not run.settings.warnings:
            return
        try:
            if asks:
                fine = compiled.evaluate_bool(
                    node, resolver=run.resolver, services=run.services, entries=run.entries
                )
            else:
                fine = compiled.evaluate_bool(node)
        except FhirPathError as error:
            what = f"The rule {key} could not be evaluated: {error.problem}"
            run.report(node, "exception", what, source, severity="warning")
            return
        if fine is False:
            run.report(node, "invariant", told_as, source, severity=severity)

    return check


def _not_evaluated(source: tuple[str, str], error: FhirPathError) -> Rule:
    what = f"The rule {source[1]} cannot be evaluated: {error.problem}"

    def check(node: Node, run: Run) -> None:
        run.report(node, "not-supported", what, source, severity="warning")

    return check
