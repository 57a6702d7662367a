"""Codes and the value sets they come from (R4 terminologies.html#strength)."""

from fhir_server.fhirpath import Node
from fhir_server.validation.found import quoted
from fhir_server.validation.profiles.library import plain
from fhir_server.validation.profiles.rules import Rule
from fhir_server.validation.profiles.run import Run, codes_of
from fhir_server.validation.profiles.tree import Json

_MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
_CODED = frozenset(
    {"code", "Coding", "CodeableConcept", "Quantity", "string", "uri", "url", "canonical", "id"}
)
_MOST_SHOWN = 5


def binding_rules(binding: Json, url: str) -> list[Rule]:
    """What a binding demands: nothing if it is preferred or an example."""
    rules = []
    value_set, strength = binding.get("valueSet"), binding.get("strength")
    if isinstance(value_set, str) and strength == "required":
        rules.append(_required(value_set, url))
    elif isinstance(value_set, str) and strength == "extensible":
        rules.append(_extensible(value_set, url))
    for extension in binding.get("extension") or ():
        greatest = extension.get("valueCanonical") or extension.get("valueUri")
        if extension.get("url") == _MAX_VALUE_SET and isinstance(greatest, str):
            rules.append(_required(greatest, url))
    return rules


def inside(node: Node, value_set: str, run: Run) -> bool | None:
    """Whether one of the codes of a value is in a value set; None if that cannot be told."""
    known = [run.member(value_set, system, code) for system, code in codes_of(node.value)]
    if True in known:
        return True
    return None if None in known else False


def _required(value_set: str, url: str) -> Rule:
    source = (url, "binding")

    def check(node: Node, run: Run) -> None:
        value = node.value
        if value is None or _CODED.isdisjoint(node.kind.bases):
            return
        if node.kind.name == "Quantity" and "code" not in value:
            return
        if node.kind.name == "CodeableConcept" and value.keys().isdisjoint(("coding", "text")):
            # Its extensions say why there is no concept.
            return
        result = inside(node, value_set, run)
        if result is False:
            run.report(node, "code-invalid", _not_inside(node, value_set), source)
        elif result is None:
            _untold(node, value_set, run, source, "warning")

    return check


def _extensible(value_set: str, url: str) -> Rule:
    source = (url, "binding")

    def check(node: Node, run: Run) -> None:
        if not run.settings.warnings or node.value is None or _CODED.isdisjoint(node.kind.bases):
            return
        # Text alone is right when no code of the value set fits (terminologies.html#extensible).
        if not codes_of(node.value):
            return
        result = inside(node, value_set, run)
        if result is False:
            what = _not_inside(node, value_set)
            what += " Another code is right only if none of these fits."
            run.report(node, "code-invalid", what, source, severity="warning")
        elif result is None:
            _untold(node, value_set, run, source, "information")

    return check


def _not_inside(node: Node, value_set: str) -> str:
    codes = [
        f"{quoted(code)} of {quoted(system)}" if system else quoted(code)
        for system, code in codes_of(node.value)[:_MOST_SHOWN]
    ]
    return f"Expected a code of {plain(value_set)}, found {', '.join(codes) or 'no code'}."


def _untold(node: Node, value_set: str, run: Run, source: tuple[str, str], severity: str) -> None:
    """Say that a code was not checked, unless it is only not answered yet."""
    if all(run.answered(value_set, *each) for each in codes_of(node.value)):
        what = f"It is not known here whether it is in {value_set}."
        run.report(node, "not-found", what, source, severity=severity)
