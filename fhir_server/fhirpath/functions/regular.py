"""Functions that take regular expressions (N1 section 5.6)."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import regex

from fhir_server.fhirpath.ast import Call, Literal
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import MAX_TEXT, Environment, LimitReached
from fhir_server.fhirpath.functions.registry import STRING, Function
from fhir_server.fhirpath.patterns import SHORT, PatternRefused, compiled, simple

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler

_SECONDS = 0.5

# Takes the pattern, the text, further arguments and a time limit.
Use = Callable[..., Any]


def _function(use: Use, arguments: int) -> Function:
    def compile_call(compiler: "Compiler", call: Call, source: Code) -> Code:
        readers = [
            compiler.scalar(code, node, STRING.types, STRING.wanted)
            for code, node in (
                (source, call),
                *((compiler.code(node), node) for node in call.arguments),
            )
        ]

        def one(this: Any, env: Environment) -> Any:
            values = [read(this, env) for read in readers]
            if None in values:
                return None
            text, pattern, *rest = values
            try:
                return use(compiled(pattern), text, *rest, min(_SECONDS, env.remaining()))
            except PatternRefused as refused:
                raise compiler.fault(call, f"{call.name}(): {refused}") from None
            except TimeoutError:
                raise LimitReached("A regular expression took too long") from None
            except (regex.error, IndexError) as error:
                problem = f"{call.name}() cannot put in '{rest[0]}': {error}"
                raise compiler.fault(call, problem) from None

        return single(one)

    return Function(arguments, arguments, compile_call)


def _matches(pattern: regex.Pattern[str], text: str, seconds: float) -> bool:
    return pattern.search(text, timeout=seconds) is not None


def _matches_quickly(compiler: "Compiler", call: Call, source: Code) -> Code:
    """`matches` with a literal pattern, the usual case."""
    general = _MATCHES.compile(compiler, call, source)
    argument = call.arguments[0]
    quick = simple(str(argument.value)) if isinstance(argument, Literal) else None
    if quick is None or general.one is None:
        return general
    search, otherwise, only = quick.search, general.one, compiler.only(source, call)

    def one(this: Any, env: Environment) -> Any:
        text = only(this, env)
        if text.__class__ is str and len(text) <= SHORT:
            return search(text) is not None
        return otherwise(this, env)

    return single(one)


def _matches_full(pattern: regex.Pattern[str], text: str, seconds: float) -> bool:
    return pattern.fullmatch(text, timeout=seconds) is not None


def _replace(pattern: regex.Pattern[str], text: str, substitution: str, seconds: float) -> str:
    if not pattern.pattern:
        return text
    if (len(text) + 1) * (len(substitution) + 1) > MAX_TEXT:
        raise LimitReached(f"replaceMatches() could make more than {MAX_TEXT} characters")
    return str(pattern.sub(_template(substitution), text, timeout=seconds))


@lru_cache(maxsize=512)
def _template(substitution: str) -> str:
    """`$1` and `${name}`, as N1 writes groups, the way `regex` writes them."""
    escaped = substitution.replace("\\", "\\\\")
    return regex.sub(r"\$(?:(\d+)|\{(\w+)\})", lambda m: rf"\g<{m[1] or m[2]}>", escaped)


_MATCHES = _function(_matches, 1)

FUNCTIONS = {
    "matches": Function(1, 1, _matches_quickly),
    "matchesFull": _function(_matches_full, 1),
    "replaceMatches": _function(_replace, 2),
}
