"""XML to the form that JSON has in memory (R4 xml.html), in one pass and without a tree.

The parser is expat without any DTD, so there are no entities but the five of XML itself.
Narratives are cut from the bytes, hence come back with every character they had.
"""

import re
from functools import cache
from typing import Any
from xml.parsers import expat

from fhir_server.outcome import Invalid, Issue
from fhir_server.spec import definitions
from fhir_server.validation.found import quoted
from fhir_server.xml.narrative import XHTML, is_division, stand_alone
from fhir_server.xml.placing import (
    SKIPPED,
    Frame,
    beside,
    index,
    place_item,
    place_nothing,
    place_resource,
)
from fhir_server.xml.plan import FHIR, PREFIX, Child, Kind, Plans

DEEPEST = 200
# One value or narrative; what libxml2 takes too.
LONGEST = 10_000_000
MOST_TAGS = 4_000_000
MOST_ISSUES = 20
_TAG_NAME = re.compile(rb"[^ \t\r\n/>]*")
_NOT_ELEMENTS = frozenset({"id", "url", "resourceType"})


def decode_xml(data: bytes) -> dict[str, Any]:
    """The resource in an XML document, as `fhir_json.decode` would give it.

    An element the type does not have is passed on as a property, for the structure check to name.
    Raises `Invalid` for everything else: malformed XML, document types and entities, another
    namespace or encoding, wrong order (R4 xml.html: elements stand in the order documented), an
    element twice that may stand once, unknown attributes, text, depth over 200, a value over
    10 MB. Issues say line and element.
    """
    _check_size(data)
    # The parser would read UTF-16 whatever it is told.
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        raise Invalid(Issue("structure", "Line 1: expected the encoding UTF-8, found another"))
    return _Reader(data).read()


def _check_size(data: bytes) -> None:
    """Before the parser sees it, because it searches a long token again with every megabyte."""
    if len(data) <= LONGEST:
        return
    if data.count(b"<") > MOST_TAGS:
        what = f"The document has more than {MOST_TAGS} tags"
        raise Invalid(Issue("too-costly", what), status=413)
    start = 0
    while start >= 0:
        end = data.find(b"<", start + 1)
        if (len(data) if end < 0 else end) - start > LONGEST:
            line = data.count(b"\n", 0, start) + 1
            raise Invalid(_too_long(line), status=413)
        start = end


def _too_long(line: int, path: str = "") -> Issue:
    what = f"Line {line}: a value or text has more than {LONGEST} bytes"
    return Issue("too-long", what, path)


@cache
def _plans() -> Plans:
    return Plans(definitions())


# A hint for editors that many published files carry; it says nothing about the resource.
_SCHEMA_LOCATION = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._plans = _plans()
        self._resources = self._plans.resources
        root = Frame()
        root.child, root.children = self._plans.root, self._resources
        self._frames = [root]
        self._frame = root
        self._depth = 0
        self._issues: list[Issue] = []
        self._narrative = 0
        self._narrative_start = 0
        self._bindings: dict[str | None, list[str]] = {}
        self._declared: list[str | None] = []
        self._declared_at = -1
        self._parser = expat.ParserCreate("utf-8", " ")

    def read(self) -> dict[str, Any]:
        parser = self._parser
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartNamespaceDeclHandler = self._declare
        parser.EndNamespaceDeclHandler = self._undeclare
        parser.StartDoctypeDeclHandler = self._doctype
        parser.XmlDeclHandler = self._declaration
        try:
            parser.Parse(self._data, True)
        except expat.ExpatError as error:
            what = (
                f"Line {error.lineno}, column {error.offset + 1}: the body is not well-formed XML:"
                f" {expat.ErrorString(error.code)}"
            )
            raise Invalid([*self._issues, Issue("structure", what, self._path())]) from None
        finally:
            self._let_go()
        if self._issues:
            raise Invalid(self._issues)
        resource: dict[str, Any] = self._frames[0].target["resource"]
        return resource

    def _let_go(self) -> None:
        """End the circle of parser and handlers, which the collector would find late."""
        parser = self._parser
        parser.StartElementHandler = parser.EndElementHandler = None
        parser.CharacterDataHandler = None
        parser.StartNamespaceDeclHandler = parser.EndNamespaceDeclHandler = None
        parser.StartDoctypeDeclHandler = parser.XmlDeclHandler = None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        above = self._frame
        child = above.children.get(tag)
        if child is None:
            self._unknown(tag, attributes)
            return
        rank = child.rank
        if rank > above.rank or (rank == above.rank and child.repeats):
            above.rank = rank
        else:
            self._misplaced(child, above)
        depth = self._depth = self._depth + 1
        try:
            frame = self._frames[depth]
        except IndexError:
            frame = self._deeper()
        self._frame = frame
        frame.child = child
        frame.children = child.children
        frame.rank = -1
        if child.plain and len(attributes) == 1 and "value" in attributes:
            # Most elements are single primitives without more: here without a further call.
            target = frame.target = above.target
            target[child.name] = child.convert(attributes["value"])
        else:
            _OPEN[child.kind](self, child, attributes, above, frame)

    def _deeper(self) -> Frame:
        if self._depth > DEEPEST:
            what = f"Line {self._line()}: elements are nested deeper than {DEEPEST} levels"
            raise Invalid(Issue("structure", what))
        frame = Frame()
        self._frames.append(frame)
        return frame

    def _end(self, _tag: str) -> None:
        frame = self._frame
        if frame.rank < 0 and frame.children is self._resources:
            self._complain("expected a resource inside, found none")
        depth = self._depth = self._depth - 1
        self._frame = self._frames[depth]

    def _text(self, text: str) -> None:
        stray = text.strip(" \t\r\n")
        if stray and self._frame.children is not SKIPPED:
            self._complain(f"expected no text, found {quoted(stray)}: values stand in attributes")

    def _primitive(
        self, child: Child, attributes: dict[str, str], above: Frame, frame: Frame
    ) -> None:
        target = frame.target = above.target
        value = attributes.get("value")
        if value is None:
            place_nothing(child, target)
        elif child.repeats:
            place_item(child, target, child.convert(value))
        else:
            target[child.name] = child.convert(value)
        if len(attributes) != 1 or value is None:
            for name, text in attributes.items():
                if name == "id":
                    beside(child, target)["id"] = text
                elif name != "value":
                    self._bad_attribute(name, "value and id")

    def _complex(
        self, child: Child, attributes: dict[str, str], above: Frame, frame: Frame
    ) -> None:
        new: dict[str, Any] = {}
        frame.target = new
        if child.repeats:
            items = above.target.get(child.name)
            if items is None:
                above.target[child.name] = [new]
            else:
                items.append(new)
        else:
            above.target[child.name] = new
        if attributes:
            self._attributes(child, attributes, new)

    def _attributes(self, child: Child, attributes: dict[str, str], target: dict[str, Any]) -> None:
        for name, text in attributes.items():
            if name == "id":
                target["id"] = text
            elif name == "url" and child.url:
                target["url"] = text.strip(" \t\r\n")
            else:
                self._bad_attribute(name, "id and url" if child.url else "id")

    def _extension_beside(
        self, child: Child, attributes: dict[str, str], above: Frame, frame: Frame
    ) -> None:
        assert above.child is not None
        new: dict[str, Any] = {}
        frame.target = new
        beside(above.child, above.target).setdefault("extension", []).append(new)
        if attributes:
            self._attributes(child, attributes, new)

    def _holder(
        self, _child: Child, attributes: dict[str, str], above: Frame, frame: Frame
    ) -> None:
        frame.target = above.target
        for name in attributes:
            self._bad_attribute(name, "none")

    def _resource(
        self, child: Child, attributes: dict[str, str], above: Frame, frame: Frame
    ) -> None:
        assert above.child is not None
        frame.target = {"resourceType": child.name}
        place_resource(above.child, above.target, frame.target)
        for name in attributes:
            if name != _SCHEMA_LOCATION:
                self._bad_attribute(name, "none: the id of a resource is an element")

    def _division(
        self, _child: Child, _attributes: dict[str, str], above: Frame, frame: Frame
    ) -> None:
        frame.target = above.target
        self._narrative = 1
        self._narrative_start = self._parser.CurrentByteIndex
        self._parser.StartElementHandler = self._inside_narrative
        self._parser.EndElementHandler = self._leave_narrative
        self._parser.CharacterDataHandler = None

    def _inside_narrative(self, _tag: str, _attributes: dict[str, str]) -> None:
        self._narrative += 1
        if self._narrative + self._depth > DEEPEST:
            what = f"Line {self._line()}: the narrative is nested deeper than {DEEPEST} levels"
            raise Invalid(Issue("structure", what, self._path()))

    def _leave_narrative(self, tag: str) -> None:
        self._narrative -= 1
        if self._narrative:
            return
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._frame.target["div"] = self._cut_narrative()
        self._end(tag)

    def _cut_narrative(self) -> str:
        start, end = self._narrative_start, self._parser.CurrentByteIndex
        # Behind an empty tag, which ends there, or before the end tag.
        if self._tag_name(end + 2) == self._tag_name(start + 1):
            end = self._data.index(b">", end) + 1
        if end - start > LONGEST:
            raise Invalid(_too_long(self._line(), self._path()), status=413)
        text = self._data[start:end].decode()
        own = self._declared if self._declared_at == start else []
        if None in own and self._bindings.keys() <= set(own):
            return text
        if is_division(text):
            return text
        outer = {prefix: uris[-1] for prefix, uris in self._bindings.items()}
        return stand_alone(text, outer)

    def _tag_name(self, start: int) -> bytes:
        found = _TAG_NAME.match(self._data, start)
        return found[0] if found else b""

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        if self._narrative:
            return
        if self._parser.CurrentByteIndex != self._declared_at:
            self._declared_at = self._parser.CurrentByteIndex
            self._declared = []
        self._declared.append(prefix)
        self._bindings.setdefault(prefix, []).append(uri or "")

    def _undeclare(self, prefix: str | None) -> None:
        if self._narrative:
            return
        uris = self._bindings[prefix]
        uris.pop()
        if not uris:
            del self._bindings[prefix]

    def _doctype(self, *_: object) -> None:
        what = f"Line {self._line()}: a document type and entities are not allowed"
        raise Invalid(Issue("security", what))

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
            what = f"Line 1: expected the encoding UTF-8, found {quoted(encoding)}"
            raise Invalid(Issue("structure", what))

    def _unknown(self, tag: str, attributes: dict[str, str]) -> None:
        """An element that the plan does not know: another type, another namespace, or wrong."""
        above = self._frame
        namespace, _, name = tag.rpartition(" ")
        in_holder = above.children is self._resources
        if in_holder and namespace == FHIR and self._plans.compile(name):
            self._start(tag, attributes)
            return
        self._skip()
        if above.children is SKIPPED:
            return
        if namespace != FHIR or f"{XHTML} {name}" in above.children:
            self._complain(_wrong_namespace(above, namespace, name))
        elif above.child is None:
            return
        elif in_holder:
            above.rank = 0
            place_resource(above.child, above.target, {"resourceType": name})
        elif name in _NOT_ELEMENTS or name.startswith("_"):
            self._complain(f"the element <{_short(name)}> is not allowed here")
        else:
            primitive = above.child.kind is Kind.PRIMITIVE
            target = beside(above.child, above.target) if primitive else above.target
            target.setdefault(name, attributes.get("value", {}))

    def _skip(self) -> None:
        self._depth += 1
        try:
            self._frame = self._frames[self._depth]
        except IndexError:
            self._frame = self._deeper()
        self._frame.child, self._frame.children, self._frame.rank = None, SKIPPED, -1

    def _misplaced(self, child: Child, above: Frame) -> None:
        if child.kind is Kind.RESOURCE:
            self._complain(f"expected one resource, found <{child.name}> beside another one")
        elif child.rank < above.rank:
            after = next(each for each in above.children.values() if each.rank == above.rank)
            self._complain(f"<{child.name}> has to stand before <{after.name}>", child)
        elif child.name in above.target or child.sibling in above.target:
            self._complain(f"<{child.name}> may stand only once", child)
        # Otherwise two types of one choice, which the structure check names.

    def _bad_attribute(self, name: str, allowed: str) -> None:
        plain = _short(name.rpartition(" ")[2])
        self._complain(f"the attribute {plain} is not allowed here; expected {allowed}")

    def _complain(self, what: str, child: Child | None = None) -> None:
        """Note a fault where the reader stands, or at a child it has not entered."""
        path = self._path() + (f".{child.label}" if child else "")
        self._issues.append(Issue("structure", f"Line {self._line()}: {what}", path))
        if len(self._issues) >= MOST_ISSUES:
            raise Invalid(self._issues)

    def _line(self) -> int:
        return self._parser.CurrentLineNumber

    def _path(self) -> str:
        """Where the reader stands, as FHIRPath."""
        labels: list[str] = []
        for above, frame in zip(self._frames, self._frames[1 : self._depth + 1], strict=False):
            child = frame.child
            if child is None:
                break
            if child.kind is Kind.RESOURCE:
                labels += [] if labels else [child.name]
            elif child.repeats:
                labels.append(f"{child.label}[{index(child, above)}]")
            else:
                labels.append(child.label)
        return ".".join(labels)


_OPEN = [
    _Reader._primitive,
    _Reader._complex,
    _Reader._extension_beside,
    _Reader._holder,
    _Reader._resource,
    _Reader._division,
]


def _wrong_namespace(above: Frame, namespace: str, name: str) -> str:
    expected = FHIR
    if above.children.get(f"{XHTML} {name}") is not None:
        expected = XHTML
    elif PREFIX + name not in above.children and namespace == XHTML:
        return f"the element <{_short(name)}> of XHTML stands outside a narrative"
    found = f"the namespace {quoted(namespace)}" if namespace else "no namespace"
    return f"expected <{_short(name)}> in the namespace {quoted(expected)}, found {found}"


def _short(name: str) -> str:
    return name if len(name) <= 64 else f"{name[:64]}…"
