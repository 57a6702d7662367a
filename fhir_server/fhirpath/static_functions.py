"""The functions that compile, by name; each turns the branches of its input into new ones.

Those of FHIRPath 2.0.0 N1 section 5 and R4 fhirpath.html#functions that search parameters use.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fhir_server.fhirpath.ast import Call, Literal, LiteralKind
from fhir_server.fhirpath.branches import Branch, computed
from fhir_server.fhirpath.specifiers import type_specifier
from fhir_server.fhirpath.static_operators import equals_text, exists, negation, truth

if TYPE_CHECKING:
    from fhir_server.fhirpath.compiler import Compiler

Branches = tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """How many arguments a function takes, and what it makes of its input."""

    fewest: int
    most: int
    compile: Callable[["Compiler", Call, Branches], Branches]


def _where(compiler: "Compiler", call: Call, source: Branches) -> Branches:
    criteria = call.arguments[0]
    chosen = []
    for branch in source:
        compiler.readable(branch, call)
        condition = truth(compiler.branches(criteria, Branch(branch.type)))
        chosen.append(branch.filtered(condition, criteria))
    return tuple(chosen)


def _exists(compiler: "Compiler", call: Call, source: Branches) -> Branches:
    found = _where(compiler, call, source) if call.arguments else source
    return (computed("boolean", exists(found), call),)


def _empty(_compiler: "Compiler", call: Call, source: Branches) -> Branches:
    return (computed("boolean", negation(exists(source)), call),)


def _not(_compiler: "Compiler", call: Call, source: Branches) -> Branches:
    return (computed("boolean", negation(truth(source)), call),)


def _first(compiler: "Compiler", call: Call, source: Branches) -> Branches:
    return compiler.item(source, 0, call)


def _resolve(compiler: "Compiler", _call: Call, source: Branches) -> Branches:
    return tuple(
        replace(branch, resolved=True, path=(*branch.path, "resolve()"), sibling=None)
        for branch in source
        if branch.type == "Reference" or compiler.definitions.is_a(branch.type, "uri")
    )


def _extension(compiler: "Compiler", call: Call, source: Branches) -> Branches:
    url = _text(compiler, call)
    has_url = equals_text(Branch("uri", head="url"), url)
    return tuple(
        extension.filtered(has_url, ("url", url))
        for extension in compiler.children(source, "extension", call)
    )


def _has_extension(compiler: "Compiler", call: Call, source: Branches) -> Branches:
    return (computed("boolean", exists(_extension(compiler, call, source)), call),)


def _text(compiler: "Compiler", call: Call) -> str:
    argument = call.arguments[0]
    if isinstance(argument, Literal) and argument.kind is LiteralKind.STRING:
        return str(argument.value)
    raise compiler.refuse(argument, f"{call.name}() takes a string literal here")


def _is(compiler: "Compiler", call: Call, source: Branches) -> Branches:
    return compiler.type_test(source, type_specifier(call, compiler.refuse), call)


def _as(compiler: "Compiler", call: Call, source: Branches) -> Branches:
    return compiler.of_type(source, type_specifier(call, compiler.refuse))


FUNCTIONS = {
    "as": Function(1, 1, _as),
    "empty": Function(0, 0, _empty),
    "exists": Function(0, 1, _exists),
    "extension": Function(1, 1, _extension),
    "first": Function(0, 0, _first),
    "hasExtension": Function(1, 1, _has_extension),
    "is": Function(1, 1, _is),
    "not": Function(0, 0, _not),
    "ofType": Function(1, 1, _as),
    "resolve": Function(0, 0, _resolve),
    "where": Function(1, 1, _where),
}
