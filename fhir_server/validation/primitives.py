"""The primitive types (R4 datatypes.html#primitive): one check each, fast when all is well."""

import binascii
import calendar
import re
from decimal import Decimal
from typing import Any

from fhir_server.outcome import Issue
from fhir_server.validation.found import Check, Found, Walk, expected, quoted, shown
from fhir_server.validation.narrative import narrative_faults

# R4 datatypes.html#string: 1024 * 1024 characters.
LONGEST_STRING = 1024 * 1024
# Keeps every decimal inside what PostgreSQL's numeric and other systems can hold.
WIDEST_DECIMAL = 1000

# U+FFFE and U+FFFF are no characters: XML cannot hold them, so a client of XML could not read them.
_unfit = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search
# Only ASCII white space counts, as in the XML Schema patterns the standard uses.
_code = re.compile(r"\S+( \S+)*", re.ASCII).fullmatch
_blank = re.compile(r"\s", re.ASCII).search
_id = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
_oid = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+").fullmatch
_uuid = re.compile(
    r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
).fullmatch

_YEAR = r"(?!0000)([0-9]{4})"
_MONTH = r"(0[1-9]|1[0-2])"
_DAY = r"(0[1-9]|[12][0-9]|3[01])"
# A leap second is allowed by the published pattern.
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_date = re.compile(f"{_YEAR}(-{_MONTH}(-{_DAY})?)?").fullmatch
_date_time = re.compile(f"{_YEAR}(-{_MONTH}(-{_DAY}(T{_TIME}{_ZONE})?)?)?").fullmatch
_instant = re.compile(f"{_YEAR}(-{_MONTH}(-{_DAY}T{_TIME}{_ZONE}))").fullmatch
_time = re.compile(_TIME).fullmatch


def boolean(value: Any, _container: Any, _key: Any, _walk: Walk) -> Found:
    """`true` or `false`, not a string."""
    if value is True or value is False:
        return None
    return expected("a boolean (true or false)", value)


def _integer(name: str, least: int, most: int) -> Check:
    def check(value: Any, _container: Any, _key: Any, _walk: Walk) -> Found:
        if type(value) is int:
            if least <= value <= most:
                return None
            return _bad(f"Expected a {name} from {least} to {most}, found {shown(value)}.")
        return expected(f"a whole number ({name})", value)

    return check


def decimal(value: Any, _container: Any, _key: Any, _walk: Walk) -> Found:
    """A JSON number whose digits can be kept."""
    if type(value) is int:
        if -(10**WIDEST_DECIMAL) < value < 10**WIDEST_DECIMAL:
            return None
    elif type(value) is Decimal:
        _, digits, exponent = value.as_tuple()
        if isinstance(exponent, str):
            return _bad("Expected a decimal, found no finite number.")
        if -WIDEST_DECIMAL <= exponent <= WIDEST_DECIMAL and len(digits) <= WIDEST_DECIMAL:
            return None
    else:
        return expected("a number (decimal)", value)
    return _bad(
        f"A decimal may have at most {WIDEST_DECIMAL} digits and an exponent"
        f" of at most {WIDEST_DECIMAL}."
    )


def string(value: Any, _container: Any, _key: Any, _walk: Walk) -> Found:
    """Text that is not empty and has no control characters."""
    if type(value) is str:
        if value and len(value) <= LONGEST_STRING and (value.isprintable() or not _unfit(value)):
            return None
        return _wrong_string(value)
    return expected("a string", value)


def _wrong_string(value: str) -> Found:
    if not value:
        return _bad("A string must not be empty: leave the element out.")
    if len(value) > LONGEST_STRING:
        return _bad(f"A string may have at most {LONGEST_STRING} characters, found {len(value)}.")
    unfit = _unfit(value)
    if unfit is None:
        return None
    return _bad(f"The character U+{ord(unfit[0]):04X} is not allowed in a string.")


def code(value: Any, _container: Any, _key: Any, _walk: Walk) -> Found:
    """No white space at the ends, no more than one inside."""
    if type(value) is str:
        if value and value.isprintable() and " " not in value:
            return None
        if _code(value) and not _unfit(value):
            return None
        return _bad(
            "Expected a code (not empty, no white space at its ends, single spaces inside),"
            f" found {quoted(value)}."
        )
    return expected("a string (code)", value)


def uri(value: Any, container: Any, key: Any, walk: Walk) -> Found:
    """Not empty, no white space; a `urn:` is noted as a link."""
    if type(value) is str:
        if value and value.isprintable() and " " not in value:
            if value[:4] == "urn:":
                walk.links.append((container, key))
            return None
        if value and not _blank(value) and not _unfit(value):
            return None
        return _bad(f"Expected a URI (not empty, no white space), found {quoted(value)}.")
    return expected("a string (URI)", value)


def _pattern(name: str, example: str, matches: Any, *, link: bool = False) -> Check:
    def check(value: Any, container: Any, key: Any, walk: Walk) -> Found:
        if type(value) is str:
            if matches(value):
                if link:
                    walk.links.append((container, key))
                return None
            return _bad(f"Expected {name} such as {example}, found {quoted(value)}.")
        return expected(f"a string ({name})", value)

    return check


def _calendar(name: str, example: str, matches: Any) -> Check:
    def check(value: Any, _container: Any, _key: Any, _walk: Walk) -> Found:
        if type(value) is str:
            match = matches(value)
            if match is None:
                return _bad(f"Expected {name} such as {example}, found {quoted(value)}.")
            day = match[5]
            if day is None or day < "29" or int(day) <= _days(int(match[1]), int(match[3])):
                return None
            return _bad(f"There is no such day: {quoted(value)}.")
        return expected(f"a string ({name})", value)

    return check


def _days(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def base64_binary(value: Any, _container: Any, _key: Any, _walk: Walk) -> Found:
    """Base64 that decodes; white space is allowed."""
    if type(value) is not str:
        return expected("a string (base64)", value)
    text = value
    for space in " \t\r\n":
        text = text.replace(space, "")
    if not text:
        return _bad("A base64Binary must not be empty: leave the element out.")
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        return _bad(f"Expected base64, found {quoted(value)}: {error}.")
    return None


def xhtml(value: Any, container: Any, key: Any, walk: Walk) -> Found:
    """A narrative (R4 narrative.html#xhtml); one that refers to anything is noted as a link."""
    if type(value) is not str:
        return expected("a string (xhtml)", value)
    faults = narrative_faults(value)
    if faults:
        return [Issue("value", fault) for fault in faults]
    if "href" in value or "src" in value:
        walk.links.append((container, key))
    return None


def _bad(diagnostics: str) -> list[Issue]:
    return [Issue("value", diagnostics)]


CHECKS: dict[str, Check] = {
    "base64Binary": base64_binary,
    "boolean": boolean,
    "canonical": uri,
    "code": code,
    "date": _calendar("a date", "2024, 2024-02 or 2024-02-29", _date),
    "dateTime": _calendar(
        "a dateTime", "2024, 2024-02, 2024-02-29 or 2024-02-29T13:45:00+01:00", _date_time
    ),
    "decimal": decimal,
    "id": _pattern("an id of 1 to 64 letters, digits, - and .", "example-1", _id),
    "instant": _calendar("an instant", "2024-02-29T13:45:00.123Z", _instant),
    "integer": _integer("integer", -(2**31), 2**31 - 1),
    "markdown": string,
    "oid": _pattern("an OID", "urn:oid:1.2.840.113619", _oid, link=True),
    "positiveInt": _integer("positiveInt", 1, 2**31 - 1),
    "string": string,
    "time": _pattern("a time", "13:45:00", _time),
    "unsignedInt": _integer("unsignedInt", 0, 2**31 - 1),
    "uri": uri,
    "url": uri,
    "uuid": _pattern(
        "a UUID in lower case", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", _uuid, link=True
    ),
    "xhtml": xhtml,
}
