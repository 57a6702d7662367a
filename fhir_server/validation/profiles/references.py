"""What references may point to (R4 references.html, elementdefinition.html targetProfile)."""

from collections.abc import Sequence

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.references import target_type
from fhir_server.spec import Definitions
from fhir_server.validation.found import quoted
from fhir_server.validation.profiles.base import type_of
from fhir_server.validation.profiles.rules import Rule
from fhir_server.validation.profiles.run import Run


def target_rule(targets: Sequence[str], definitions: Definitions, url: str) -> Rule:
    """A Reference to a resource that conforms to one of `targets`, which are canonicals.

    What cannot be looked at is judged by the type that the reference's text says.
    """
    source = (url, "targetProfile")
    base = frozenset(name for each in targets if (name := type_of(definitions, each)) is not None)
    profiles = tuple(each for each in targets if type_of(definitions, each) is None)
    expected = " or ".join(each.rpartition("/")[2] for each in targets)

    def check(node: Node, run: Run) -> None:
        value = node.value
        if value.__class__ is not dict or not (value.get("reference") or value.get("type")):
            return
        target = run.target(node)
        name = target.kind.name if target is not None else _named(node)
        if name is None or name not in definitions.types:
            return
        if any(definitions.is_a(name, each) for each in base):
            return
        possible = [each for each in profiles if _fits(name, each, run)]
        if not possible:
            what = f"Expected a reference to {expected}, found {name}"
            text = value.get("reference")
            what += f" ({quoted(text)})." if isinstance(text, str) else "."
            run.report(node, "value", what, source)
        elif target is not None and run.settings.targets:
            _conforms(node, target, possible, run, source)

    return check


def _named(node: Node) -> str | None:
    return target_type(node.value, node.resource().value)


def _fits(name: str, canonical: str, run: Run) -> bool:
    """Whether a profile can be on a type; one that is not known can be on any."""
    type_name = run.profiles.type_of(canonical)
    return type_name is None or run.profiles.definitions.is_a(name, type_name)


def _conforms(
    node: Node, target: Node, profiles: Sequence[str], run: Run, source: tuple[str, str]
) -> None:
    results = [run.conforms(target, canonical) for canonical in profiles]
    if True in results or None in results:
        return
    what = f"What it refers to does not conform to {' or '.join(profiles)}."
    run.report(node, "structure", what, source)
