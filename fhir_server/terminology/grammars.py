"""Code systems that are a grammar: whether a text is a code (R4 terminologies-systems.html)."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from fhir_server.terminology.members import Grammar
from fhir_server.ucum import canonical

_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?"
    r"(?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*(?:-[a-wyz\d](?:-[a-z\d]{2,8})+)*"
    r"(?:-x(?:-[a-z\d]{1,8})+)?|x(?:-[a-z\d]{1,8})+",
    re.IGNORECASE | re.ASCII,
)
_TOKEN = r"[!#$%&'*+.^_`|~\w-]+"
_MEDIA_TYPE = re.compile(
    rf"{_TOKEN}/{_TOKEN}(?:\s*;\s*{_TOKEN}=(?:{_TOKEN}|\"[^\"\\]*\"))*", re.ASCII
)
_URI = re.compile(r"[A-Za-z][A-Za-z\d+.-]*:[^\s<>\"{}|\\^`]+", re.ASCII)


def _whole(pattern: re.Pattern[str]) -> Grammar:
    return lambda code: pattern.fullmatch(code) is not None


GRAMMARS: Mapping[str, Grammar] = MappingProxyType(
    {
        "http://unitsofmeasure.org": lambda code: canonical(code) is not None,
        "urn:ietf:bcp:47": _whole(_LANGUAGE),
        "urn:ietf:bcp:13": _whole(_MEDIA_TYPE),
        "urn:ietf:rfc:3986": _whole(_URI),
    }
)
