"""Whether a search parameter can stand beside those there are."""

from collections.abc import Mapping

from fhir_server.fhirpath.compiler import compile_expression
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.indexing.definition import TYPE, indexable, types_of
from fhir_server.outcome import Issue
from fhir_server.search import composites
from fhir_server.search.parameters import Component, SearchParameter, SearchParameters
from fhir_server.spec import Definitions, SearchParameterDefinition


def conflicts(
    definition: SearchParameterDefinition,
    others: Mapping[str, SearchParameterDefinition],
    known: Definitions,
) -> list[Issue]:
    """What stands against a definition: its code or url means something else already.

    others: definitions beside R4's, by where they come from.
    """
    official = SearchParameters(known)
    types = types_of(definition.base, known)
    for type_ in types:
        taken = official.get(type_, definition.code)
        if taken is not None and not _finds_the_same(definition, taken, type_):
            text = (
                f"On {type_}, R4 defines {definition.code!r} as {taken.definition.url}, which "
                f"finds other values than {definition.url}; expected another code"
            )
            return [Issue("duplicate", text, f"{TYPE}.code")]
    for source, other in others.items():
        if other.url == definition.url:
            text = f"{source} has the url {definition.url} already, and is active"
            return [Issue("duplicate", text, f"{TYPE}.url")]
        shared = sorted(set(types) & set(types_of(other.base, known)))
        if other.code == definition.code and shared:
            text = (
                f"On {shared[0]}, {definition.code!r} is {other.url} already (active, from "
                f"{source}); expected another code, or that one retired first"
            )
            return [Issue("duplicate", text, f"{TYPE}.code")]
    return _official_url(definition, known)


def _official_url(definition: SearchParameterDefinition, known: Definitions) -> list[Issue]:
    for official in known.search_parameters:
        if official.url == definition.url and official.code != definition.code:
            text = f"R4 defines {official.url} as {official.code!r}; expected a url of its own"
            return [Issue("duplicate", text, f"{TYPE}.url")]
    return []


def _finds_the_same(
    definition: SearchParameterDefinition, other: SearchParameter, type_: str
) -> bool:
    """Whether two parameters of one code have the same values on a type, differently written."""
    expression = other.expression(type_)
    if definition.type != other.type or expression is None or definition.expression is None:
        return False
    mine = compile_expression(definition.expression, type_)
    same = {(item.type, item.head, item.path) for item in mine.branches} == {
        (item.type, item.head, item.path) for item in expression.branches
    }
    return same and definition.components == other.definition.components


def unresolved(
    definition: SearchParameterDefinition, parameters: SearchParameters, known: Definitions
) -> list[Issue]:
    """What is wrong with the components of a composite, given all parameters."""
    if definition.type != "composite":
        return []
    if len(definition.components) < 2:
        text = f"{len(definition.components)} components; a composite has at least two"
        return [Issue("required", text, f"{TYPE}.component")]
    found = [parameters.by_url(url) for url, _ in definition.components]
    issues = [
        Issue(
            "not-found",
            f"No active search parameter has the url {url}",
            f"{TYPE}.component[{place}].definition",
        )
        for place, (url, _) in enumerate(definition.components)
        if found[place] is None
    ]
    if issues:
        return issues
    components = [
        Component(one, expression)
        for one, (_, expression) in zip(found, definition.components, strict=True)
        if one is not None
    ]
    if composites.shape(components) is None:
        kinds = ", ".join(component.type for component in components)
        text = (
            f"Components of the types {kinds}; expected tokens, references and uris, and beside "
            "them at most one string, date, number or quantity, or two numbers"
        )
        return [Issue("not-supported", text, f"{TYPE}.component")]
    return _unreadable(definition, components, known)


def _unreadable(
    definition: SearchParameterDefinition,
    components: list[Component],
    known: Definitions,
) -> list[Issue]:
    assert definition.expression is not None
    issues = []
    for place, component in enumerate(components):
        for type_ in types_of(definition.base, known):
            bases = [
                item.type for item in compile_expression(definition.expression, type_).branches
            ]
            problem = _problem_of(component, type_, bases, known)
            if problem:
                where = f"{TYPE}.component[{place}].expression"
                issues.append(Issue("invalid", problem, where))
                break
    return issues


def _problem_of(component: Component, type_: str, bases: list[str], known: Definitions) -> str:
    of_resource, path = composites.place(component)
    for base in (type_,) if of_resource else bases:
        try:
            branches = compile_expression(path, base).branches
        except FhirPathError as error:
            return f"On {base}: {error}"
        if any(indexable(component.type, branch, known) for branch in branches):
            return ""
    return f"{component.expression!r} finds no values that a {component.type} can have"
