"""FHIRPath for everybody else: compile once, evaluate often (R4 fhirpath.html)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath.code import boolean
from fhir_server.fhirpath.engine import Compiler
from fhir_server.fhirpath.environment import Entries, Environment, LimitReached, Resolver, Services
from fhir_server.fhirpath.errors import (
    FhirPathEvaluationError,
    FhirPathLimitError,
    FhirPathSyntaxError,
)
from fhir_server.fhirpath.model import NODE_TYPES, node_type
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.strictness import check


class Compiled:
    """An expression that can be evaluated; safe to share between threads.

    source: its text.
    type_name: the type it was checked for, or None.
    """

    __slots__ = ("_chain", "_items", "_one", "source", "type_name")

    def __init__(self, source: str, type_name: str | None, as_filters: bool) -> None:
        self.source = source
        self.type_name = type_name
        try:
            tree = parse(source)
            code = Compiler(source, as_filters=as_filters).code(tree)
            if type_name is not None:
                check(source, tree, type_name)
        except RecursionError:
            # How deep is too deep depends on who calls.
            raise FhirPathSyntaxError(source, 0, "The expression is nested too deeply") from None
        self._items, self._one, self._chain = code.items, code.one, code.chain

    def __repr__(self) -> str:
        return f"<FHIRPath {self.source!r}>"

    def evaluate_items(
        self,
        context: Any,
        *,
        variables: Mapping[str, Any] | None = None,
        resolver: Resolver | None = None,
        services: Services | None = None,
        entries: Entries | None = None,
    ) -> Sequence[Any]:
        """The items: a `Node` for what stands in a resource, plain Python for System values.

        context: a resource, a node, or a value of the type the expression was compiled for.
        variables: the caller's own `%name`s: nodes, resources, System values or lists of them.
        resolver: gives the resource behind a reference's text, for `resolve()`.
        services: what answers `memberOf`, `conformsTo`, `subsumes` and takes what `trace` tells.
        entries: what is known of the entries of Bundles, shared by evaluations on one resource.

        Raises `FhirPathEvaluationError` for values an operator or function cannot take, and
        `FhirPathLimitError` for an evaluation that takes too long or grows too large.
        """
        node = context if context.__class__ is Node else self._node(context)
        env = Environment(node)
        if variables is not None:
            env.variables = variables
        if resolver is not None:
            env.resolver = resolver
        if services is not None:
            env.services = services
        if entries is not None:
            env.known_entries = entries
        try:
            return self._items(node, env)
        except (LimitReached, RecursionError, MemoryError) as error:
            raise self._limit(error) from None

    def evaluate(self, context: Any, **options: Any) -> list[Any]:
        """The values: elements as the resource holds them, System values as plain Python.

        A primitive that has extensions but no value is left out. Takes what `evaluate_items` takes.
        """
        node = context if context.__class__ is Node else self._node(context)
        if self._chain is not None and node.__class__ is Node:
            plan = self._chain.plan(node.kind)
            if plan is not None:
                return [value for value in plan.walk(node.value) if value is not None]
        items = self.evaluate_items(node, **options)
        if len(items) > 1:
            values = [item.value if item.__class__ is Node else item for item in items]
            return [value for value in values if value is not None]
        if not items:
            return []
        value = items[0].value if items[0].__class__ is Node else items[0]
        return [] if value is None else [value]

    def evaluate_nodes(self, context: Any, **options: Any) -> list[Node]:
        """The items that stand in a resource, with value, type and path; others are left out."""
        items = self.evaluate_items(context, **options)
        return [item for item in items if item.__class__ is Node]

    def evaluate_bool(self, context: Any, **options: Any) -> bool | None:
        """The result as a condition; None if it is empty (N1 section 4.5).

        Raises what `evaluate_items` raises, also for more than one item.
        """
        if self._one is None or options:
            return self._condition(self.evaluate_items(context, **options))
        node = context if context.__class__ is Node else self._node(context)
        try:
            return boolean(self._one(node, Environment(node)))
        except (LimitReached, RecursionError, MemoryError) as error:
            raise self._limit(error) from None

    def _condition(self, items: Sequence[Any]) -> bool | None:
        if len(items) > 1:
            problem = f"Expected one boolean but found {len(items)} items"
            raise FhirPathEvaluationError(self.source, 0, problem)
        return boolean(items[0]) if items else None

    def _node(self, context: Any) -> Any:
        """A node of a resource or of a value of `type_name`; System values stay themselves."""
        if context.__class__ is dict:
            kind = NODE_TYPES[context.get("resourceType", self.type_name)]
            if kind is None:
                raise TypeError("Expected a resource of R4, or a type_name that says what this is")
            return Node(context, kind)
        kind = NODE_TYPES[self.type_name]
        return context if context is None or kind is None else Node(context, kind)

    def _limit(self, error: BaseException) -> FhirPathLimitError:
        if isinstance(error, LimitReached):
            problem = str(error)
        elif isinstance(error, RecursionError):
            problem = "The evaluation is nested too deeply"
        else:
            problem = "The evaluation needs too much memory"
        return FhirPathLimitError(self.source, 0, problem)


@lru_cache(maxsize=4096)
def compile(  # noqa: A001 - named like re.compile
    source: str, *, type_name: str | None = None, as_filters: bool = False
) -> Compiled:
    """Compile an expression; the same one is compiled once.

    type_name: the type of the values it is for. The expression is then also checked against that
        type: names of elements that cannot be, operators on types that never fit.
    as_filters: whether `as` keeps the items of a type among several, as R4's own search parameters
        and invariants use it; N1 section 6.3 makes that an error.

    Raises `FhirPathSyntaxError`, `UnsupportedExpression` for unknown functions and types, and
    `FhirPathTypeError` for what the check finds.
    """
    if type_name is not None and node_type(type_name) is None:
        raise ValueError(f"R4 has no type {type_name!r}")
    return Compiled(source, type_name, as_filters)
