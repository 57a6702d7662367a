"""What expressions find in a body: FHIRPath, XPath, JSONPath."""

import re
from collections.abc import Sequence
from contextvars import ContextVar
from decimal import Decimal
from typing import Any

import elementpath
import jsonpath
from lxml import etree

from fhir_server import fhir_json, fhirpath
from fhir_server.conformance.content import Content
from fhir_server.outcome import Invalid
from fhir_server.xml import encode_xml

_FHIR = "http://hl7.org/fhir"
# Names without a prefix are those of FHIR, since scripts in use write them both ways.
_NAMESPACES = {"": _FHIR, "fhir": _FHIR, "f": _FHIR, "xhtml": "http://www.w3.org/1999/xhtml"}
# Set where whoever wrote the script is not who pays for the time that it takes.
BOUNDED: ContextVar[bool] = ContextVar("bounded", default=False)
# What lets a short XPath run for hours; FHIRPath and JSONPath here have bounds of their own.
# The library evaluates constants as it parses, so texts are looked at before.
_LITERAL = re.compile(r"\"[^\"]*\"|'[^']*'")
_UNBOUNDED = re.compile(
    r"\b(?:for|some|every)\s*\$|\b(?:matches|replace|tokenize)\s*\(|\(:"
    r"|(?<![A-Za-z_/@:-])to(?![\w:-])"
)
_DOTTED = re.compile(r"[A-Za-z_][\w-]*(\[\d+\])*(\.[A-Za-z_][\w-]*(\[\d+\])*)*\Z")

# What the libraries let through for some odd paths.
_ODD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class CannotEvaluate(Exception):
    """An expression that is wrong, or not for this body; says why."""


class Structure(str):
    """What is found and is no primitive value, as text for messages."""

    __slots__ = ()


def compiled(expression: str) -> fhirpath.Compiled:
    """A FHIRPath expression. Raises CannotEvaluate."""
    try:
        return fhirpath.compile(expression)
    except fhirpath.FhirPathError as error:
        raise CannotEvaluate(f"the FHIRPath expression is wrong: {error}") from None


def by_expression(expression: str, content: Content) -> list[str]:
    """What FHIRPath finds, as texts. Raises CannotEvaluate and NoResource."""
    try:
        found = compiled(expression).evaluate(content.resource)
    except (fhirpath.FhirPathError, TypeError) as error:
        raise CannotEvaluate(f"FHIRPath: {error}") from None
    return [as_text(value) for value in found]


def condition(expression: str, content: Content) -> bool | None:
    """What FHIRPath gives as a condition. Raises CannotEvaluate and NoResource."""
    try:
        return compiled(expression).evaluate_bool(content.resource)
    except (fhirpath.FhirPathError, TypeError) as error:
        raise CannotEvaluate(f"FHIRPath: {error}") from None


def by_path(path: str, content: Content) -> list[str]:
    """What a path finds, as texts: JSONPath after `$`, the elements of a dotted name, else XPath.

    XPath is applied to the resource as XML, whatever format it came in; an element of a primitive
    type counts as its value. Raises CannotEvaluate and NoResource.
    """
    if path.startswith("$"):
        return _by_json_path(path, content)
    if _DOTTED.match(path):
        # A dot may stand in an XML name, but in no name of FHIR.
        return _by_json_path(f"$.{path}", content)
    return _by_xpath(path, content)


def _by_json_path(path: str, content: Content) -> list[str]:
    try:
        return [as_text(value) for value in jsonpath.findall(path, content.resource)]
    except (jsonpath.JSONPathError, *_ODD) as error:
        raise CannotEvaluate(f"the JSONPath {path!r} is wrong: {error}") from None


def _by_xpath(path: str, content: Content) -> list[str]:
    try:
        document = etree.ElementTree(etree.fromstring(_xml(content), _parser()))
    except etree.XMLSyntaxError as error:
        raise CannotEvaluate(f"{content.what} is no XML: {error}") from None
    try:
        if BOUNDED.get():
            _check_bounded(path)
        found = elementpath.select(
            document, path, namespaces=_NAMESPACES, parser=elementpath.XPath2Parser
        )
    except (elementpath.ElementPathError, *_ODD) as error:
        raise CannotEvaluate(f"the XPath {path!r} is wrong: {error}") from None
    return [_xml_text(each) for each in (found if isinstance(found, list) else [found])]


def _check_bounded(path: str) -> None:
    found = _UNBOUNDED.search(_LITERAL.sub('""', path))
    if found:
        raise CannotEvaluate(f"the XPath {path!r} has {found[0]!r}, which is not for scripts here")


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


def _xml(content: Content) -> bytes:
    if content.body.lstrip()[:1] == b"<":
        return content.body
    try:
        return encode_xml(content.resource)
    except Invalid as error:
        raise CannotEvaluate(f"{content.what} cannot be written as XML: {error}") from None


def _xml_text(found: Any) -> str:
    if isinstance(found, etree._Element):
        value = found.get("value")
        if value is not None:
            return value
        return Structure(etree.tostring(found, encoding="unicode", with_tail=False))
    return as_text(found)


def as_text(value: Any) -> str:
    """A value as scripts write it."""
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < 20 else str(value)
    if isinstance(value, dict | list):
        return Structure(fhir_json.encode(value).decode())
    return str(value)


def only_text(found: Sequence[str], where: str) -> str | None:
    """The one primitive value that was found, None for nothing.

    where: what was evaluated, for the message of CannotEvaluate.
    """
    if len(found) > 1:
        raise CannotEvaluate(f"{where} gives {len(found)} values, expected one")
    if found and isinstance(found[0], Structure):
        raise CannotEvaluate(f"{where} gives {found[0][:100]}, expected a primitive value")
    return found[0] if found else None
