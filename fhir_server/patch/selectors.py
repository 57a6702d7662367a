"""Selectors of XML Patch: the part of XPath that RFC 5261 section 4.1 allows, and a little more.

Only paths downwards with simple conditions, so that no selector can keep a server busy.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from lxml import etree

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"

# Prefixes that need no declaration, as in the examples of HL7.
_KNOWN = {"f": FHIR, "h": XHTML}
_DEFAULT = "default-namespace"
_MOST = 2000

_NAME = r"[A-Za-z_][\w.\-]*"
_QNAME = rf"(?:{_NAME}:)?(?:{_NAME}|\*)"
_LITERAL = r"\"[^\"]*\"|'[^']*'"
_VALUE = rf"(?:\.|@(?:{_NAME}:)?{_NAME}|{_QNAME}(?:/{_QNAME})*(?:/@(?:{_NAME}:)?{_NAME})?)"
_PREDICATE = rf"\[\s*(?:[1-9]\d{{0,8}}|{_VALUE}\s*=\s*(?:{_LITERAL}))\s*\]"
_STEP = rf"{_QNAME}(?:{_PREDICATE})*"
_LEAF = (
    rf"@(?:{_NAME}:)?{_NAME}"
    rf"|(?:text\(\)|comment\(\)|processing-instruction\(\s*(?:{_LITERAL})?\s*\))(?:\[[1-9]\d{{0,8}}\])?"
)
_SELECTOR = re.compile(rf"/?{_STEP}(?:/{_STEP})*(?:/(?:{_LEAF}))?")
# What carries a name, or looks as if it did.
_TOKEN = re.compile(
    rf"(?P<literal>{_LITERAL})|(?P<node>(?:text|comment|processing-instruction)\()"
    rf"|(?P<attribute>@(?:{_NAME}:)?{_NAME})|(?P<prefixed>{_NAME}:)(?:{_NAME}|\*)|(?P<plain>{_NAME})"
)


class BadSelector(Exception):
    """The text is no selector, and why."""


def compiled(selector: str, namespaces: Mapping[str | None, str]) -> etree.XPath:
    """An XPath to evaluate on a document.

    namespaces: those in scope of the operation; the default one holds for names without a prefix
    (RFC 5261 section 4.2.2). Raises `BadSelector`.
    """
    text = selector.strip()
    if len(text) > _MOST:
        raise BadSelector(f"the selector is longer than {_MOST} characters")
    if not _SELECTOR.fullmatch(text):
        raise BadSelector(
            f"{text!r} is no selector; expected a path such as "
            "f:Patient/f:name[1]/f:given or f:Patient/f:gender/@value"
        )
    known = {**_KNOWN, **{prefix: uri for prefix, uri in namespaces.items() if prefix}}
    default = namespaces.get(None)
    if default is not None:
        known[_DEFAULT] = default
    for match in _TOKEN.finditer(text):
        prefix = (match["prefixed"] or match["attribute"] or "").lstrip("@").rpartition(":")[0]
        if prefix and prefix not in known and prefix != "xml":
            raise BadSelector(f"the prefix {prefix!r} in {text!r} is not declared")
    return _xpath(text, default is not None, tuple(sorted(known.items())))


@lru_cache(maxsize=256)
def _xpath(text: str, defaulted: bool, namespaces: tuple[tuple[str, str], ...]) -> etree.XPath:
    path = _TOKEN.sub(_qualified, text) if defaulted else text
    return etree.XPath("/" + path.removeprefix("/"), namespaces=dict(namespaces))


def _qualified(match: re.Match[str]) -> str:
    return f"{_DEFAULT}:{match[0]}" if match["plain"] else match[0]
