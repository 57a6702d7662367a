"""An operation as the server offers it, and the ways to call it (R4 operations.html)."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.operations.parameters import Parameters
from fhir_server.operations.reading import read_parameters
from fhir_server.spec import Definitions
from fhir_server.spec.model import OperationDefinitionFacts, OperationParameter
from fhir_server.validation.primitives import CHECKS

Handler = Callable[[Engine, Context, Parameters], Awaitable[Result]]

R4_BASE = "http://hl7.org/fhir"
LEVELS = ("system", "type", "instance")
_ANY_TYPE = "Resource"
_PLACES = {"system": "", "type": "{type}/", "instance": "{type}/[id]/"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    name: of its OperationDefinition, such as `ValueSet-expand`; the end of its URL.
    base: of the URL of its OperationDefinition: R4's, or `OWN_BASE` for one under `profiles/`.
    levels: where it may be called; empty for everywhere that the definition says.
    writes: whether it changes what is stored, so that GET cannot call it.
    searches: the search parameters of its type are parameters of the operation too.
    paged: its answer may have pages.
    versions: it may be called on former versions as well.
    joins: though it writes, it may be an entry of a transaction, carried out after the others.
    touches: types that it tells of without asking which of their resources, and which elements of
        them, may be seen; `*` for all. All of them have to be granted to whoever calls it.
    unchecked: it takes resources as they are, also those that break the rules of R4.
    """

    name: str
    handler: Handler
    summary: str
    levels: tuple[str, ...] = ()
    writes: bool = False
    searches: bool = False
    paged: bool = False
    versions: bool = False
    joins: bool = False
    unchecked: bool = False
    touches: tuple[str, ...] = ()
    base: str = R4_BASE

    @property
    def url(self) -> str:
        """The canonical URL of its OperationDefinition."""
        return f"{self.base}/OperationDefinition/{self.name}"


def routes(operation: Operation, definitions: Definitions) -> Iterator[InteractionDefinition]:
    """Every method and path that calls an operation."""
    facts = _facts(operation, definitions)
    handler = partial(_carry_out, operation, facts)
    for level, path in _paths(operation, facts):
        for method in _methods(operation, facts):
            suffix = "-version" if "[vid]" in path else f"-{level}"
            yield InteractionDefinition(
                name=f"{operation.name}{suffix}{'-post' if method == 'POST' else ''}",
                code="",
                level=level,
                method=method,
                path=path,
                handler=handler,
                body="parameters" if method == "POST" else "",
                summary=operation.summary,
                operation=facts,
                reads=not operation.writes,
                joins=operation.joins,
                touches=operation.touches,
            )


def _facts(operation: Operation, definitions: Definitions) -> OperationDefinitionFacts:
    return next(facts for facts in definitions.operations if facts.url == operation.url)


def _paths(operation: Operation, facts: OperationDefinitionFacts) -> Iterator[tuple[str, str]]:
    allowed = {"system": facts.system, "type": facts.type, "instance": facts.instance}
    for level in operation.levels or LEVELS:
        if not allowed[level]:
            continue
        for type_ in facts.resources if level != "system" else ("",):
            place = _PLACES[level].format(type="[type]" if type_ == _ANY_TYPE else type_)
            yield level, f"{place}${facts.code}"
            if level == "instance" and operation.versions:
                yield level, f"{place}_history/[vid]/${facts.code}"


def _methods(operation: Operation, facts: OperationDefinitionFacts) -> tuple[str, ...]:
    needs_body = any(
        item.use == "in" and item.min > 0 and item.type not in CHECKS for item in facts.parameters
    )
    return ("POST",) if operation.writes or needs_body else ("GET", "POST")


async def _carry_out(
    operation: Operation,
    facts: OperationDefinitionFacts,
    engine: Engine,
    ctx: Context,
    request: Request,
) -> Result:
    taken: tuple[OperationParameter, ...] = tuple(
        item for item in facts.parameters if item.use == "in"
    )
    parameters = read_parameters(
        engine.structure,
        engine.definitions,
        facts.code,
        taken,
        request,
        searches=operation.searches,
        paged=operation.paged,
        unchecked=operation.unchecked,
    )
    return await operation.handler(engine, ctx, parameters)
