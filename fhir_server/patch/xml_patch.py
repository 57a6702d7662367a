"""XML Patch (RFC 5261) on the XML form of a resource."""

import time
from copy import deepcopy
from typing import Any

from lxml import etree

from fhir_server.outcome import Invalid
from fhir_server.patch.narratives import narratives, with_narratives
from fhir_server.patch.problems import (
    Patch,
    PatchFailed,
    check_number,
    check_time,
    malformed,
    operation_failed,
    operation_malformed,
)
from fhir_server.patch.selectors import FHIR, BadSelector, compiled
from fhir_server.patch.xml_nodes import (
    NotPossible,
    add,
    add_attribute,
    add_namespace,
    remove,
    replace,
)
from fhir_server.xml import decode_xml, encode_xml

_ROOTS = ("diff", "patch")
_ATTRIBUTES = {
    "add": {"sel", "type", "pos"},
    "replace": {"sel"},
    "remove": {"sel", "ws"},
}
_POSITIONS = (None, "prepend", "before", "after")
_SPACES = (None, "before", "after", "both")


def read_xml_patch(data: bytes) -> Patch:
    """The patch in an XML document.

    Raises `Invalid` for what is no XML Patch, naming the operation by its index from 0.
    """
    operations = read_operations(data)

    def patch(resource: dict[str, Any]) -> Any:
        try:
            document = etree.ElementTree(_parsed(encode_xml(resource)))
            before = decode_xml(_written(document))
            apply_xml_patch(operations, document)
            _remove_empty(document)
            result = decode_xml(_written(document))
        except Invalid as invalid:
            raise PatchFailed(invalid.issues) from None
        originals = dict(zip(narratives(before), narratives(resource), strict=True))
        # The way through a tree may write the same narrative in other characters.
        return with_narratives(result, originals)

    return patch


def read_operations(data: bytes) -> list[etree._Element]:
    """The operations of a patch document, checked as far as they do not depend on the target."""
    try:
        root = _parsed(data)
    except etree.XMLSyntaxError as error:
        raise malformed(f"The patch is not well-formed XML: {error.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise malformed("The patch has a document type; expected none")
    if etree.QName(root).localname not in _ROOTS:
        raise malformed(f"The root of an XML Patch is {root.tag!r}; expected 'diff'")
    operations = [child for child in root if isinstance(child.tag, str)]
    if not operations:
        raise malformed("The patch has no operations")
    check_number(len(operations))
    for index, operation in enumerate(operations):
        if problem := _problem(operation):
            raise operation_malformed(index, problem)
    return operations


def apply_xml_patch(operations: list[etree._Element], document: etree._ElementTree) -> None:
    """Change a document by sound operations. Raises `PatchFailed` for the first that fails."""
    started = time.monotonic()
    for index, operation in enumerate(operations):
        check_time(started, index)
        try:
            _apply(operation, document)
        except NotPossible as problem:
            name = etree.QName(operation).localname
            text = f"{name} {operation.get('sel', '')!r}: {problem}"
            raise operation_failed(index, text) from None


def _parsed(data: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.fromstring(data, parser)


def _written(document: etree._ElementTree) -> bytes:
    return etree.tostring(document, encoding="UTF-8", xml_declaration=True)


def _remove_empty(document: etree._ElementTree) -> None:
    """Take out elements of FHIR without anything in them, from the inside out (R4 xml.html)."""
    for element in reversed(list(document.iter(f"{{{FHIR}}}*"))):
        held = len(element) or element.attrib or (element.text or "").strip()
        parent = element.getparent()
        if parent is not None and not held and not (element.tail or "").strip():
            parent.remove(element)


def _problem(operation: etree._Element) -> str | None:
    name = etree.QName(operation).localname
    if name not in _ATTRIBUTES:
        return f"it is {name!r}; expected {', '.join(_ATTRIBUTES)}"
    if unknown := sorted(set(map(str, operation.attrib)) - _ATTRIBUTES[name]):
        return f"{name} has the unknown attribute {unknown[0]!r}"
    if operation.get("pos") not in _POSITIONS or operation.get("ws") not in _SPACES:
        return "pos is 'prepend', 'before' or 'after', and ws 'before', 'after' or 'both'"
    type_ = operation.get("type")
    if type_ is not None and not type_.startswith(("@", "namespace::")):
        return f"type is {type_!r}; expected '@name' or 'namespace::prefix'"
    if type_ is not None and (len(operation) or operation.get("pos") is not None):
        return f"with the type {type_!r} it takes text, and no pos"
    try:
        compiled(operation.get("sel", ""), operation.nsmap)
    except BadSelector as bad:
        return str(bad)
    return None


def _apply(operation: etree._Element, document: etree._ElementTree) -> None:
    found: Any = compiled(operation.get("sel", ""), operation.nsmap)(document)
    if len(found) != 1:
        raise NotPossible("nothing is there" if not found else f"it matches {len(found)} nodes")
    _OPERATIONS[etree.QName(operation).localname](document, operation, found[0])


def _add(document: etree._ElementTree, operation: etree._Element, target: Any) -> None:
    type_ = operation.get("type")
    content = _content(operation)
    if type_ is None:
        add(target, content, operation.get("pos"))
    elif type_.startswith("@"):
        add_attribute(target, _attribute_name(operation, type_[1:]), content.text or "")
    else:
        add_namespace(document, target, type_.removeprefix("namespace::"), content.text or "")


def _attribute_name(operation: etree._Element, name: str) -> str:
    prefix, _, local = name.rpartition(":")
    if not prefix:
        return local
    uri = operation.nsmap.get(prefix)
    if uri is None:
        raise NotPossible(f"the prefix {prefix!r} is not declared")
    return f"{{{uri}}}{local}"


def _content(operation: etree._Element) -> etree._Element:
    """A copy, since the patch may be applied again; without the patch's own declarations."""
    copied = deepcopy(operation)
    copied.tail = None
    etree.cleanup_namespaces(copied)
    return copied


def _replace(document: etree._ElementTree, operation: etree._Element, target: Any) -> None:
    replace(document, target, _content(operation))


def _remove(document: etree._ElementTree, operation: etree._Element, target: Any) -> None:
    remove(target, operation.get("ws"))


_OPERATIONS = {"add": _add, "replace": _replace, "remove": _remove}
