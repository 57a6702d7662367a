"""Where the values of a parameter are, as PostgreSQL JSON paths, for sorting by what is not stored
in order."""

import json
from collections.abc import Hashable
from functools import lru_cache

from fhir_server.fhirpath.ast import Binary, Call, Literal, Member, TypeOperation
from fhir_server.fhirpath.branches import Branch
from fhir_server.search.parameters import SearchParameter

# What of a value is compared, by its type.
_COMPARED = {
    "CodeableConcept": ("coding", "code"),
    "Coding": ("code",),
    "ContactPoint": ("value",),
    "Identifier": ("value",),
    "Reference": ("reference",),
}


@lru_cache(4096)
def jsonpaths(parameter: SearchParameter) -> tuple[str, ...]:
    """One path for each branch of the expression; none when one of them cannot be written so."""
    expression = parameter.expression()
    if expression is None or not expression.branches:
        return ()
    found = [_path(branch) for branch in expression.branches]
    return tuple(path for path in found if path) if all(found) else ()


def _path(branch: Branch) -> str:
    steps = [_step(step) for step in (branch.head, *branch.path)]
    if branch.resolved or not all(steps):
        return ""
    tail = (f'."{name}"' for name in _COMPARED.get(branch.type, ()))
    return "".join(["$", *steps, *tail])


def _step(step: Hashable) -> str:
    """A property, `resolve() is Patient` or `system = 'phone'`; empty for what has no such form."""
    match step:
        case str() if step.isidentifier():
            return f'."{step}"'
        case TypeOperation(operator="is", operand=Call(source=None, name="resolve"), type=type_):
            return f' ? (@.reference like_regex "(^|/){type_.name}/")'
        case Binary(
            operator="=", left=Member(source=None, name=name), right=Literal(value=str(value))
        ):
            return f' ? (@."{name}" == {json.dumps(value)})'
    return ""
