"""Strings (N1 section 5.6, and the functions of later versions that R4 implementations know)."""

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.ast import Call
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import MAX_TEXT, Environment
from fhir_server.fhirpath.functions.registry import INTEGER, STRING, Function, scalar
from fhir_server.fhirpath.values import system, type_name

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    if not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(length, 0)]


def _replace(text: str, pattern: str, substitution: str) -> str:
    growth = len(substitution) - len(pattern)
    times = text.count(pattern) if growth > 0 else 0
    if len(text) + times * growth > MAX_TEXT:
        raise ValueError(f"replace() would make a text longer than {MAX_TEXT} characters")
    return text.replace(pattern, substitution)


def _decode_base64(text: str, altchars: bytes | None = None) -> str:
    return base64.b64decode(text, altchars, validate=True).decode()


_JSON_ESCAPE = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]')

_ENCODE: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "urlbase64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
}
_DECODE: dict[str, Callable[[str], str]] = {
    "base64": _decode_base64,
    "urlbase64": lambda text: _decode_base64(text, b"-_"),
    "hex": lambda text: binascii.unhexlify(text.encode()).decode(),
}
_ESCAPE: dict[str, Callable[[str], str]] = {
    "html": html.escape,
    "json": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
}
_UNESCAPE: dict[str, Callable[[str], str]] = {
    "html": html.unescape,
    "json": lambda text: _JSON_ESCAPE.sub(lambda match: str(json.loads(f'"{match[0]}"')), text),
}


def _by_format(table: dict[str, Callable[[str], str]]) -> Function:
    def convert(text: str, name: str) -> str | None:
        if name not in table:
            raise ValueError(f"Expected one of {', '.join(table)} but found '{name}'")
        try:
            return table[name](text)
        except (ValueError, UnicodeError):
            return None

    return scalar(convert, STRING, STRING)


def _several(split: Callable[..., list[str]], *arguments: Any) -> Function:
    """A function of one string that gives several."""

    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
        value_of = compiler.scalar(source, call, STRING.types, STRING.wanted)
        arguments_of = [
            compiler.scalar(compiler.code(node), node, STRING.types, STRING.wanted)
            for node in call.arguments
        ]

        def items(this: Any, env: Environment) -> Sequence[Any]:
            values = [read(this, env) for read in (value_of, *arguments_of)]
            if None in values:
                return ()
            env.charge(len(values[0]))
            return split(*values)

        return Code(items)

    return Function(len(arguments), len(arguments), compiled)


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _join(compiler: "Compiler", call: Call, source: Code) -> Code:
    separator_of = None
    if call.arguments:
        node = call.arguments[0]
        separator_of = compiler.scalar(compiler.code(node), node, STRING.types, STRING.wanted)

    def one(this: Any, env: Environment) -> str | None:
        separator = separator_of(this, env) if separator_of else ""
        items = source.items(this, env)
        if separator is None or not items:
            return None
        texts = [system(item) for item in items]
        for text in texts:
            if text is not None and text.__class__ is not str:
                raise compiler.fault(call, f"Expected strings but found {type_name(text)}")
        present = [text for text in texts if text is not None]
        env.charge(len(present) + sum(map(len, present)) // 1000)
        if len(separator) * len(present) > MAX_TEXT:
            raise compiler.fault(call, f"join() would make more than {MAX_TEXT} characters")
        return env.text(separator.join(present))

    return single(one)


FUNCTIONS = {
    "contains": scalar(lambda text, part: part in text, STRING, STRING),
    "decode": _by_format(_DECODE),
    "encode": _by_format(_ENCODE),
    "endsWith": scalar(str.endswith, STRING, STRING),
    "escape": _by_format(_ESCAPE),
    "indexOf": scalar(str.find, STRING, STRING),
    "join": Function(0, 1, _join),
    "lastIndexOf": scalar(str.rfind, STRING, STRING),
    "length": scalar(len, STRING),
    "lower": scalar(str.lower, STRING),
    "replace": scalar(_replace, STRING, STRING, STRING),
    "split": _several(_split, STRING),
    "startsWith": scalar(str.startswith, STRING, STRING),
    "substring": scalar(_substring, STRING, INTEGER, INTEGER, fewest=1),
    "toChars": _several(list),
    "trim": scalar(str.strip, STRING),
    "unescape": _by_format(_UNESCAPE),
    "upper": scalar(str.upper, STRING),
}
