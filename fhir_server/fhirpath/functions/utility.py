"""`trace` and the time of evaluation (N1 section 5.9)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import Call
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.functions.registry import STRING, Function
from fhir_server.fhirpath.nodes import Node
from fhir_server.fhirpath.temporal import FhirDate, FhirDateTime, FhirTime

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler


def _trace(compiler: "Compiler", call: Call, source: Code) -> Code:
    node = call.arguments[0]
    name_of = compiler.scalar(compiler.code(node), node, STRING.types, STRING.wanted)
    shown = compiler.code(call.arguments[1]) if len(call.arguments) > 1 else None

    def items(this: Any, env: Environment) -> Sequence[Any]:
        found = source.items(this, env)
        tell = env.services.trace
        if tell is not None:
            items = [i for item in found for i in shown.items(item, env)] if shown else found
            values = [item.value if item.__class__ is Node else item for item in items]
            tell(name_of(this, env) or "", values)
        return found

    return Code(items, present=source.present)


def today(env: Environment) -> FhirDate:
    """The date of evaluation."""
    now = env.now()
    return FhirDate((now.year, now.month, now.day))


def now(env: Environment) -> FhirDateTime:
    """The date and time of evaluation, to the millisecond."""
    now = env.now()
    offset = now.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset is not None else 0
    date = (now.year, now.month, now.day)
    return FhirDateTime((*date, *time_of_day(env).parts), minutes)


def time_of_day(env: Environment) -> FhirTime:
    """The time of evaluation, to the millisecond."""
    now = env.now()
    seconds = Decimal(now.second) + Decimal(now.microsecond // 1000).scaleb(-3)
    return FhirTime((now.hour, now.minute, seconds.quantize(Decimal("0.001"))))


def _moment(read: Any) -> Function:
    return Function(0, 0, lambda _compiler, _call, _source: single(lambda _this, env: read(env)))


FUNCTIONS = {
    "now": _moment(now),
    "timeOfDay": _moment(time_of_day),
    "today": _moment(today),
    "trace": Function(1, 2, _trace),
}
