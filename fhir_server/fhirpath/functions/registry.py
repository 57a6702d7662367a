"""How a function is described: how many arguments it takes, and what it compiles to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import Call
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import Environment

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler

Compile = Callable[["Compiler", Call, Code], Code]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of FHIRPath.

    fewest, most: how many arguments it takes.
    compile: makes code of the call and the code of its input.
    """

    fewest: int
    most: int
    compile: Compile


@dataclass(frozen=True, slots=True)
class Kind:
    """What a function takes: System types, and how a message calls them."""

    types: tuple[type, ...]
    wanted: str


STRING = Kind((str,), "a string")
INTEGER = Kind((int,), "an integer")
NUMBER = Kind((int, Decimal), "a number")


def scalar(calculate: Callable[..., Any], of: Kind, *arguments: Kind, fewest: int = -1) -> Function:
    """A function of one value and of arguments with one value each; empty if one of them is.

    fewest: how many arguments must be given; all of them by default.
    """

    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
        value_of = compiler.scalar(source, call, of.types, of.wanted)
        arguments_of = [
            compiler.scalar(compiler.code(node), node, kind.types, kind.wanted)
            for node, kind in zip(call.arguments, arguments, strict=False)
        ]

        def one(this: Any, env: Environment) -> Any:
            value = value_of(this, env)
            given = [argument(this, env) for argument in arguments_of]
            if value is None or None in given:
                return None
            try:
                result = calculate(value, *given)
            except (DecimalException, OverflowError):
                return None
            except ValueError as error:
                raise compiler.fault(call, str(error)) from None
            return env.text(result) if result.__class__ is str else result

        return single(one)

    most = len(arguments)
    return Function(most if fewest < 0 else fewest, most, compiled)


def merged(*tables: Mapping[str, Function]) -> dict[str, Function]:
    """One table of all functions."""
    return {name: function for table in tables for name, function in table.items()}
