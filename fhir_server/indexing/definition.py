"""From a SearchParameter resource to what it asks to be indexed (R4 searchparameter.html)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.fhirpath.branches import Branch
from fhir_server.fhirpath.compiler import compile_expression
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.outcome import Invalid, Issue
from fhir_server.search.emitters import EMITTERS, maker_for
from fhir_server.spec import Definitions, SearchParameterDefinition

TYPE = "SearchParameter"

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_LONGEST_EXPRESSION = 4000

# Codes with a rule of their own, whatever their definition says; so have those that begin with `_`.
_RULED = frozenset({"near"})


def is_active(resource: Mapping[str, Any]) -> bool:
    """Whether a SearchParameter is meant to be used: drafts and retired ones are only stored."""
    return resource.get("status") == "active"


def facts(resource: Mapping[str, Any], known: Definitions) -> SearchParameterDefinition:
    """What matters of a SearchParameter whose structure is sound."""
    return SearchParameterDefinition(
        url=resource["url"],
        name=resource["name"],
        code=resource["code"],
        type=resource["type"],
        base=tuple(resource.get("base", ())),
        expression=resource.get("expression"),
        targets=_targets(resource, known),
        comparators=tuple(resource.get("comparator", ())),
        modifiers=tuple(resource.get("modifier", ())),
        chains=tuple(resource.get("chain", ())),
        multiple_or=resource.get("multipleOr", True),
        multiple_and=resource.get("multipleAnd", True),
        components=tuple(
            (component["definition"].partition("|")[0], component["expression"])
            for component in resource.get("component", ())
        ),
    )


def types_of(bases: tuple[str, ...], known: Definitions) -> tuple[str, ...]:
    """The resource types that a parameter with these bases is for."""
    return tuple(
        sorted(
            name
            for name in known.resource_types
            if any(base == name or known.is_a(name, base) for base in bases)
        )
    )


def check_definition(resource: Mapping[str, Any], known: Definitions) -> None:
    """Check that a SearchParameter can be indexed by, whatever other ones there are.

    Raises `Invalid` (422) with the place of everything wrong. One that is not active may be
    anything, and so may a copy of R4's own.
    """
    if not is_active(resource) or is_official(facts(resource, known), known):
        return
    issues = [
        Issue(code, text, f"{TYPE}.{place}") for code, place, text in _problems(resource, known)
    ]
    if issues:
        raise Invalid(issues, status=422)


def is_official(definition: SearchParameterDefinition, known: Definitions) -> bool:
    """Whether a definition is one of R4's own, in all that matters."""
    return any(
        _essence(definition) == _essence(official)
        for official in known.search_parameters
        if official.url == definition.url
    )


def _essence(definition: SearchParameterDefinition) -> object:
    return (
        definition.code,
        definition.type,
        set(definition.base),
        definition.expression,
        definition.components,
    )


def _targets(resource: Mapping[str, Any], known: Definitions) -> tuple[str, ...]:
    """The types a reference may point to: as given, else as the elements say, else any."""
    if resource["type"] != "reference":
        return ()
    given = set(resource.get("target", ()))
    if not given and resource.get("expression"):
        for type_ in types_of(tuple(resource.get("base", ())), known):
            given.update(_element_targets(resource["expression"], type_))
    return types_of(tuple(given) or ("Resource",), known)


def _element_targets(expression: str, type_: str) -> Iterator[str]:
    try:
        branches = compile_expression(expression, type_).branches
    except FhirPathError:
        return
    for branch in branches:
        for found in branch.element.types if branch.element else ():
            yield from found.targets or ("Resource",)


# What is wrong: the issue's code, the element, and the text.
_Problem = tuple[str, str, str]


def _problems(resource: Mapping[str, Any], known: Definitions) -> Iterator[_Problem]:
    yield from _problems_of_code(resource["code"], known)
    unknown = [
        (place, base)
        for place, base in enumerate(resource.get("base", ()))
        if not types_of((base,), known)
    ]
    for place, base in unknown:
        yield "value", f"base[{place}]", f"{base!r} is no resource type of R4"
    for place, target in enumerate(resource.get("target", ())):
        if not types_of((target,), known):
            yield "value", f"target[{place}]", f"{target!r} is no resource type of R4"
    if resource["type"] == "special":
        text = "A special parameter needs a rule that is not in its definition; not supported"
        yield "not-supported", "type", text
    elif resource.get("xpathUsage", "normal") != "normal":
        text = f"Only xpathUsage 'normal' is supported, not {resource['xpathUsage']!r}"
        yield "not-supported", "xpathUsage", text
    elif not unknown:
        yield from _problems_of_expression(resource, known)


def _problems_of_code(code: str, known: Definitions) -> Iterator[_Problem]:
    # Guides repeat those of all types, such as `_id`; conflicts.py sees that they mean the same.
    shared = {each.code for each in known.search_parameters if each.code.startswith("_")}
    if not _CODE.fullmatch(code) and code not in shared:
        text = f"{code!r}: expected a letter, then up to 63 letters, digits, '-' or '_'"
        yield "value", "code", text
    elif code in _RULED:
        yield "business-rule", "code", f"{code!r} has a rule of its own in FHIR"


def _problems_of_expression(resource: Mapping[str, Any], known: Definitions) -> Iterator[_Problem]:
    expression = resource.get("expression")
    if not expression:
        yield "required", "expression", "Expected the FHIRPath expression that finds the values"
        return
    if len(expression) > _LONGEST_EXPRESSION:
        text = f"{len(expression)} characters; at most {_LONGEST_EXPRESSION} are supported"
        yield "too-long", "expression", text
        return
    for base in resource.get("base", ()):
        for type_ in types_of((base,), known):
            problem = _problem_on(expression, type_, resource["type"], known)
            if problem is not None:
                yield (*problem[:1], "expression", f"On {type_}: {problem[1]}")
                break


def _problem_on(
    expression: str, type_: str, kind: str, known: Definitions
) -> tuple[str, str] | None:
    try:
        branches = compile_expression(expression, type_).branches
    except FhirPathError as error:
        return "invalid", str(error)
    if not branches:
        return "invalid", f"{expression!r} can find nothing"
    if kind == "composite" or any(indexable(kind, branch, known) for branch in branches):
        return None
    found = ", ".join(sorted({branch.type for branch in branches}))
    wanted = ", ".join(sorted(EMITTERS.get(kind, {})))
    return "invalid", f"values of type {found} make no {kind} parameter; expected {wanted}"


def indexable(kind: str, branch: Branch, known: Definitions) -> bool:
    """Whether a parameter of a kind has a way to index the values of a branch."""
    return maker_for(kind, branch.type, known) is not None
