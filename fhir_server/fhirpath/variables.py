"""What stands behind `%name` (N1 section 9, R4 fhirpath.html#variables)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import ExternalConstant
from fhir_server.fhirpath.code import Code, constant
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.nodes import Node, root_node
from fhir_server.fhirpath.quantity import UCUM, Quantity
from fhir_server.fhirpath.temporal import Temporal

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler

_URLS = {"ucum": UCUM, "sct": "http://snomed.info/sct", "loinc": "http://loinc.org"}
_PREFIXES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}
_ITEMS = (Node, bool, int, Decimal, str, Temporal, Quantity)


def external(compiler: "Compiler", node: ExternalConstant) -> Code:
    """The value of a variable: a URL the standard fixes, the caller's, or from the context."""
    name = node.name
    if name in _URLS:
        return constant(_URLS[name])
    for prefix, url in _PREFIXES.items():
        if name.startswith(prefix):
            return constant(url + name.removeprefix(prefix))
    contextual = _CONTEXTUAL.get(name)

    def items(_this: Any, env: Environment) -> Sequence[Any]:
        if name not in env.variables:
            if contextual is not None:
                return contextual(env)
            known = ", ".join(f"%{known}" for known in sorted(env.variables)) or "none of its own"
            problem = f"There is no variable %{name}; the caller gives {known}"
            raise compiler.fault(node, problem)
        return items_of(env.variables[name])

    return Code(items)


def items_of(value: Any) -> Sequence[Any]:
    """A value given by the caller as a collection; a resource becomes a node."""
    values = value if isinstance(value, list | tuple) else (value,)
    found = [_item(value) for value in values if value is not None]
    return [item for item in found if item is not None]


def _item(value: Any) -> Any:
    if isinstance(value, _ITEMS):
        return value
    node = root_node(value)
    if node is None:
        raise TypeError(f"A variable takes nodes, resources and System values, not {value!r:.80}")
    return node


def _context(env: Environment) -> Sequence[Any]:
    return () if env.context is None else (env.context,)


def _resource(env: Environment) -> Sequence[Any]:
    context = env.context
    return (context.resource(),) if context.__class__ is Node else ()


def _root_resource(env: Environment) -> Sequence[Any]:
    context = env.context
    return (containing(context.resource()),) if context.__class__ is Node else ()


def containing(resource: Node) -> Node:
    """The resource that contains `resource`, or `resource` if none does."""
    if resource.parent is None or resource.child is None or resource.child.name != "contained":
        return resource
    return resource.parent.resource()


_CONTEXTUAL = {"context": _context, "resource": _resource, "rootResource": _root_resource}
