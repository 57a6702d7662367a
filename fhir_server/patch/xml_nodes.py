"""Changing the nodes of an XML tree: what RFC 5261 calls add, replace and remove.

A target is an element, a comment or processing instruction, or a string that knows its place:
an attribute or a text.
"""

from typing import Any

from lxml import etree


class NotPossible(Exception):
    """The target cannot be changed so, and why."""


def add(target: Any, content: etree._Element, position: str | None) -> None:
    """Put the nodes of `content` into an element, or before or after a node (section 4.3)."""
    if not isinstance(target, etree._Element):
        raise NotPossible("only elements and comments take new neighbours or content")
    if position in ("before", "after"):
        parent = _parent(target)
        place = parent.index(target) + (position == "after")
    elif not isinstance(target.tag, str):
        raise NotPossible("only an element takes content")
    else:
        parent = target
        place = 0 if position == "prepend" else len(target)
    _insert(parent, place, content, at_start=position in ("after", "prepend"))


def _insert(parent: etree._Element, place: int, content: etree._Element, *, at_start: bool) -> None:
    """Put nodes before the child at `place`, at the start or end of the text that is there."""
    nodes = list(content)
    there = _text_before(parent, place)
    first, follows = ("", there) if at_start else (there, "")
    first += content.text or ""
    if nodes:
        nodes[-1].tail = (nodes[-1].tail or "") + follows
    else:
        first += follows
    _set_text_before(parent, place, first)
    if place == len(parent):
        parent.extend(nodes)
        return
    follower = parent[place]
    for node in nodes:
        follower.addprevious(node)


def _text_before(parent: etree._Element, place: int) -> str:
    return (parent.text if place == 0 else parent[place - 1].tail) or ""


def _set_text_before(parent: etree._Element, place: int, text: str) -> None:
    if place == 0:
        parent.text = text
    else:
        parent[place - 1].tail = text


def add_attribute(target: Any, name: str, value: str) -> None:
    """Give an element an attribute it does not have (section 4.3.1)."""
    element = _element(target)
    if name in element.attrib:
        raise NotPossible(f"the attribute {name!r} is there already")
    try:
        element.set(name, value)
    except ValueError as error:
        raise NotPossible(str(error)) from None


def add_namespace(document: etree._ElementTree, target: Any, prefix: str, uri: str) -> None:
    """Declare a prefix on an element (section 4.3.2)."""
    element = _element(target)
    declared: Any = {**element.nsmap, prefix: uri}
    try:
        made = etree.Element(element.tag, nsmap=declared)
    except ValueError as error:
        raise NotPossible(str(error)) from None
    made.attrib.update(element.attrib)
    made.text, made.tail = element.text, element.tail
    made.extend(list(element))
    _put(document, element, made)


def replace(document: etree._ElementTree, target: Any, content: etree._Element) -> None:
    """Put other content in the place of a node (section 4.4)."""
    if not isinstance(target, etree._Element):
        if len(content):
            raise NotPossible("an attribute or text is replaced by text alone")
        _set(target, content.text or "")
        return
    nodes = list(content)
    if len(nodes) != 1 or (content.text or "").strip() or (nodes[0].tail or "").strip():
        raise NotPossible("a node is replaced by one node of its kind")
    node = nodes[0]
    if isinstance(node.tag, str) != isinstance(target.tag, str):
        raise NotPossible("a node is replaced by one node of its kind")
    node.tail = target.tail
    _put(document, target, node)


def _put(document: etree._ElementTree, old: etree._Element, new: etree._Element) -> None:
    parent = old.getparent()
    if parent is None:
        document._setroot(new)
    else:
        parent.replace(old, new)


def remove(target: Any, spaces: str | None) -> None:
    """Take a node away, and white space around it where asked (section 4.5)."""
    if not isinstance(target, etree._Element):
        if spaces is not None:
            raise NotPossible("ws is for elements and comments")
        _set(target, None)
        return
    parent = _parent(target)
    place = parent.index(target)
    text, tail = _text_before(parent, place), target.tail or ""
    if spaces in ("before", "both"):
        text = _no_space(text)
    if spaces in ("after", "both"):
        tail = _no_space(tail)
    parent.remove(target)
    _set_text_before(parent, place, text + tail)


def _no_space(text: str) -> str:
    if not text or text.strip():
        raise NotPossible("there is no white space of its own to remove")
    return ""


def _set(place: Any, value: str | None) -> None:
    """Change an attribute or a text; None takes it away."""
    parent = place.getparent()
    try:
        if place.is_attribute:
            if value is None:
                del parent.attrib[place.attrname]
            else:
                parent.set(place.attrname, value)
        elif place.is_tail:
            parent.tail = value
        else:
            parent.text = value
    except ValueError as error:
        raise NotPossible(str(error)) from None


def _parent(target: etree._Element) -> etree._Element:
    parent = target.getparent()
    if parent is None:
        raise NotPossible("the resource itself has to stay where it is")
    return parent


def _element(target: Any) -> etree._Element:
    if not isinstance(target, etree._Element) or not isinstance(target.tag, str):
        raise NotPossible("it is no element")
    return target
