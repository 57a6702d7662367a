"""Regular expressions, bounded in time (N1 section 5.6)."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import regex

from fhir_server.fhirpath.ast import Call
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import MAX_TEXT, Environment, LimitReached
from fhir_server.fhirpath.functions.registry import STRING, Function

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler

_SECONDS = 0.5
_LONGEST = 1_000

# Takes the pattern, the text, further arguments and a time limit.
Use = Callable[..., Any]


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.DOTALL | regex.VERSION0)


def _function(use: Use, arguments: int) -> Function:
    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
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
            if len(pattern) > _LONGEST:
                problem = f"A regular expression may have {_LONGEST} characters"
                raise compiler.fault(call, f"{problem} but this one has {len(pattern)}")
            try:
                return use(_compiled(pattern), text, *rest, min(_SECONDS, env.remaining()))
            except regex.error as error:
                problem = f"'{pattern}' is not a regular expression: {error}"
                raise compiler.fault(call, problem) from None
            except (IndexError, OverflowError, RecursionError, MemoryError) as error:
                raise compiler.fault(call, f"'{pattern}' cannot be used: {error}") from None
            except TimeoutError:
                raise LimitReached("A regular expression took too long") from None

        return single(one)

    return Function(arguments, arguments, compiled)


def _matches(pattern: regex.Pattern[str], text: str, seconds: float) -> bool:
    return pattern.search(text, timeout=seconds) is not None


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


FUNCTIONS = {
    "matches": _function(_matches, 1),
    "matchesFull": _function(_matches_full, 1),
    "replaceMatches": _function(_replace, 2),
}
