"""Extensions held against their definitions (R4 extensibility.html)."""

from collections.abc import Mapping

from fhir_server.fhirpath import FhirPathError, Node
from fhir_server.fhirpath import compile as compile_fhirpath
from fhir_server.validation.found import quoted
from fhir_server.validation.profiles.base import CORE
from fhir_server.validation.profiles.library import plain
from fhir_server.validation.profiles.run import Run, Unknown
from fhir_server.validation.profiles.tree import Json, ProfileFault

# Where R4 itself uses extensions that their definitions do not allow there; R5 corrected these.
_ALSO_ON: Mapping[str, frozenset[str]] = {
    CORE + "structuredefinition-fhir-type": frozenset({"ElementDefinition.type"}),
    CORE + "regex": frozenset({"ElementDefinition.type"}),
    CORE + "structuredefinition-normative-version": frozenset({"Element"}),
    CORE + "cqf-library": frozenset({"DomainResource"}),
}
_EXTENSION = "http://hl7.org/fhir/StructureDefinition/Extension"


def check_extension(node: Node, run: Run) -> None:
    """Check one extension, wherever it stands."""
    url = node.value.get("url")
    if url.__class__ is not str or _is_part(node, url):
        return
    is_modifier = node.child is not None and node.child.name == "modifierExtension"
    try:
        profile = run.profiles.profile(url)
    except ProfileFault as fault:
        run.unusable(node, fault)
        return
    if profile is None:
        _unknown(node, url, is_modifier, run)
        return
    if profile.type != "Extension":
        what = f"{quoted(url)} defines no extension but a {profile.type}."
        run.report(node, "structure", what, (url, "type"))
        return
    _check_place(node, profile.definition, url, is_modifier, run)
    run.against(node, profile)


def _is_part(node: Node, url: str) -> bool:
    """Whether it is a part of a complex extension, which that one's definition defines."""
    if node.parent is None or node.parent.kind.name != "Extension":
        return False
    return ":" not in url


def _unknown(node: Node, url: str, is_modifier: bool, run: Run) -> None:
    settings = run.settings
    setting = settings.unknown_modifiers if is_modifier else settings.unknown_extensions
    if setting is Unknown.IGNORE:
        return
    rule = "modifierExtension" if is_modifier else "extension"
    what = f"There is no definition of the {rule} {quoted(url)} here, so it was not checked."
    if setting is Unknown.REFUSE:
        what = f"There is no definition of the {rule} {quoted(url)} here."
    code = "extension" if setting is Unknown.REFUSE else "informational"
    run.report(node, code, what, (_EXTENSION, rule), severity=setting.value)


def _check_place(node: Node, definition: Json, url: str, is_modifier: bool, run: Run) -> None:
    described = definition.get("snapshot") or definition.get("differential") or {}
    root: list[Json] = described.get("element") or [{}]
    if bool(root[0].get("isModifier")) is not is_modifier:
        right = "modifierExtension" if root[0].get("isModifier") else "extension"
        what = f"The extension {quoted(url)} may only stand as {right}."
        run.report(node, "structure", what, (url, "isModifier"))
    contexts = definition.get("context") or ()
    also = _ALSO_ON.get(url, frozenset())
    if (
        contexts
        and not any(_is_there(node, each) for each in contexts)
        and also.isdisjoint(_names(node.parent) if node.parent is not None else ())
    ):
        allowed = ", ".join(str(each.get("expression")) for each in contexts)
        what = f"The extension {quoted(url)} may stand on {allowed}, not on {_place(node)}."
        run.report(node, "structure", what, (url, "context"))
    for invariant in definition.get("contextInvariant") or ():
        _check_invariant(node, str(invariant), url, run)


def _is_there(node: Node, context: Json) -> bool:
    kind, expression = context.get("type"), str(context.get("expression"))
    holder = node.parent
    if holder is None:
        return True
    if kind == "extension":
        return holder.kind.name == "Extension" and holder.value.get("url") == plain(expression)
    if kind == "fhirpath":
        return _is_selected(holder, expression)
    profile, _, path = expression.rpartition("#")
    if profile:
        return path in _names(holder) or expression.startswith("http")
    return expression.removesuffix("[x]").replace("[x].", ".") in _names(holder)


def _is_selected(holder: Node, expression: str) -> bool:
    try:
        compiled = compile_fhirpath(expression, as_filters=True)
        selected = compiled.evaluate_nodes(holder.resource())
    except FhirPathError:
        # A context that cannot be evaluated forbids nothing.
        return True
    return any(each.value is holder.value and each.path == holder.path for each in selected)


def _names(holder: Node) -> set[str]:
    """Everything that a context may call an element: its types, and paths that end in it."""
    # `Element` is any element, and R4's own extensions take resources for elements too.
    names = set(holder.kind.bases) | {"*", "Element"}
    tail = ""
    node = holder
    while node.parent is not None and node.child is not None:
        tail = f".{node.child.name}{tail}"
        node = node.parent
        names |= {f"{base}{tail}" for base in node.kind.bases}
        if node.kind.resource:
            break
    return names


def _place(node: Node) -> str:
    return "nothing" if node.parent is None else node.parent.path.rpartition(".")[2]


def _check_invariant(node: Node, expression: str, url: str, run: Run) -> None:
    source = (url, "contextInvariant")
    try:
        compiled = compile_fhirpath(expression, as_filters=True)
        holder = node.parent if node.parent is not None else node
        fine = compiled.evaluate_bool(
            holder, variables={"extension": node}, resolver=run.resolver, services=run.services
        )
    except FhirPathError as error:
        what = f"The context's rule could not be evaluated: {error.problem}"
        run.report(node, "exception", what, source, severity="warning")
        return
    if fine is False:
        run.report(node, "invariant", f"The extension may stand here only if {expression}.", source)
