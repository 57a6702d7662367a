"""What a rule reads as a primitive of FHIR (R4 datatypes.html#primitive)."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from fhir_server.mapping.scope import Scope
from fhir_server.mapping.times import fhir_time, fhir_time_of_day
from fhir_server.mapping.values import Value

# Gives None for what is no value of the type; whoever asked tells of it.
Convert = Callable[[Scope, str], Any]

_NUMBER = re.compile(r"[+-]?(\d+)(\.\d+)?")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_YES_NO = {"Y": True, "N": False, "YES": True, "NO": False, "TRUE": True, "FALSE": False,
           "1": True, "0": False}  # fmt: skip


def text_of(item: Any) -> str:
    """The text of a value, as a primitive has it."""
    text = item.plain if isinstance(item, Value) else str(item)
    return text if text.isprintable() else _CONTROL.sub("", text)


def _string(scope: Scope, text: str) -> str | None:
    return text.strip("\n\r\t ") or None


def code_of(text: str) -> str:
    """A text as a code may be: single spaces, and none at its ends; empty if that is nothing."""
    return " ".join(text.split())


def _code(scope: Scope, text: str) -> str | None:
    return code_of(text) or None


def _uri(scope: Scope, text: str) -> str | None:
    return "%20".join(text.split()) or None


def _id(scope: Scope, text: str) -> str | None:
    return text if _ID.fullmatch(text) else None


def decimal_of(text: str) -> Decimal | None:
    """A number as v2 has them; None for anything else, such as one with a comma."""
    text = text.replace(" ", "")
    if text.startswith("."):
        text = f"0{text}"
    match = _NUMBER.fullmatch(text.rstrip(".") if text.endswith(".") else text)
    if match is None:
        return None
    digits = match[1].lstrip("0") or "0"
    sign = "-" if text.startswith("-") else ""
    try:
        return Decimal(f"{sign}{digits}{match[2] or ''}")
    except InvalidOperation:
        return None


def _integer(least: int) -> Convert:
    def convert(scope: Scope, text: str) -> int | None:
        number = decimal_of(text)
        if number is None or number != number.to_integral_value():
            return None
        return int(number) if least <= number < 2**31 else None

    return convert


def _base64(scope: Scope, text: str) -> str | None:
    text = "".join(text.split())
    padded = text + "=" * (-len(text) % 4)
    try:
        base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return padded or None


def _boolean(scope: Scope, text: str) -> bool | None:
    return _YES_NO.get(text.upper())


def _time(kind: str) -> Convert:
    def convert(scope: Scope, text: str) -> str | None:
        if not _FHIR.fullmatch(text):
            return fhir_time(text, scope.run.zone, kind)
        # What a function of the rules has given is as FHIR has it already.
        if kind == "dateTime" or (kind == "instant" and "T" in text):
            return text
        return fhir_time(text[:10].replace("-", ""), scope.run.zone, kind)

    return convert


_FHIR = re.compile(r"\d{4}-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?")


CONVERTERS: Mapping[str, Convert] = MappingProxyType(
    {
        "base64Binary": _base64,
        "boolean": _boolean,
        "canonical": _uri,
        "code": _code,
        "date": _time("date"),
        "dateTime": _time("dateTime"),
        "decimal": lambda scope, text: decimal_of(text),
        "id": _id,
        "instant": _time("instant"),
        "integer": _integer(-(2**31)),
        "markdown": _string,
        "oid": _uri,
        "positiveInt": _integer(1),
        "string": _string,
        "time": lambda scope, text: fhir_time_of_day(text),
        "unsignedInt": _integer(0),
        "uri": _uri,
        "url": _uri,
        "uuid": _uri,
    }
)
