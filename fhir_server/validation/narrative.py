"""The XHTML of narratives (R4 narrative.html#xhtml, invariants txt-1 and txt-2)."""

import re
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"

# Formatting elements of HTML 4.0 chapters 7 to 11 (without 9.4) and 15, links and images.
ELEMENTS = frozenset(
    {
        "a", "abbr", "acronym", "address", "area", "b", "bdo", "big",
        "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd",
        "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3",
        "h4", "h5", "h6", "hr", "i", "img", "kbd", "li",
        "map", "ol", "p", "pre", "q", "samp", "small", "span",
        "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th",
        "thead", "tr", "tt", "ul", "var",
    }
)  # fmt: skip
ATTRIBUTES = frozenset(
    {
        "abbr", "accesskey", "align", "alt", "axis", "border", "cellpadding", "cellspacing",
        "char", "charoff", "charset", "cite", "class", "colspan", "coords", "dir",
        "frame", "headers", "height", "href", "hreflang", "id", "ismap", "lang",
        "longdesc", "name", "nohref", "nowrap", "rel", "rev", "rowspan", "rules",
        "scope", "shape", "span", "src", "style", "summary", "tabindex", "title",
        "type", "usemap", "valign", "width",
    }
)  # fmt: skip
_XML_ATTRIBUTES = frozenset(
    f"http://www.w3.org/XML/1998/namespace {name}" for name in ("lang", "space")
)
_LINKS = frozenset({"href", "src", "cite", "longdesc", "usemap"})
_ACTIVE_LINK = re.compile(r"(javascript|vbscript|data):", re.IGNORECASE).match
_ACTIVE_STYLE = re.compile(
    r"expression\s*\(|javascript:|vbscript:|behaviou?r\s*:|-moz-binding|@import", re.IGNORECASE
).search
_INVISIBLE = re.compile(r"[\x00-\x20]+")
_MOST_FAULTS = 10


class _Refused(Exception):
    pass


def narrative_faults(text: str) -> list[str]:
    """What is wrong with a narrative's `div`; an empty list when nothing is.

    Document types, entities and processing instructions are refused before they are read.
    """
    reader = _Reader()
    try:
        reader.read(text)
    except expat.ExpatError as error:
        reader.faults.append(
            f"Expected well-formed XHTML: {expat.ErrorString(error.code)}"
            f" at line {error.lineno}, column {error.offset + 1}."
        )
    except _Refused as refused:
        reader.faults.append(str(refused))
    except ValueError:
        reader.faults.append("Expected well-formed XHTML without lone surrogates.")
    return reader.faults


class _Reader:
    def __init__(self) -> None:
        self.faults: list[str] = []
        self._depth = 0
        self._content = False

    def read(self, text: str) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.Parse(text, True)
        if not self._content:
            self.faults.append("The narrative has no content: expected some text or an image.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        namespace, _, element = name.rpartition(" ")
        if self._depth == 1 and (namespace, element) != (XHTML, "div"):
            raise _Refused(f'Expected a <div xmlns="{XHTML}">, found <{element[:80]}>.')
        if namespace != XHTML or element not in ELEMENTS:
            self._fault(f"The element <{element[:80]}> is not allowed in a narrative.")
        if element == "img":
            self._content = True
        for attribute, value in attributes.items():
            self._attribute(element, attribute, value)

    def _attribute(self, element: str, name: str, value: str) -> None:
        if name not in ATTRIBUTES:
            if name not in _XML_ATTRIBUTES:
                plain = name.rpartition(" ")[2][:80]
                self._fault(f"The attribute {plain} of <{element}> is not allowed in a narrative.")
        elif name in _LINKS:
            link = _INVISIBLE.sub("", value)
            if _ACTIVE_LINK(link) and not (
                name == "src" and link.lower().startswith("data:image/")
            ):
                self._fault(f"The {name} of <{element}> must not be active content.")
        elif name == "style" and _ACTIVE_STYLE(value):
            self._fault(f"The style of <{element}> must not be active content.")

    def _end(self, _name: str) -> None:
        self._depth -= 1

    def _text(self, text: str) -> None:
        if not self._content and not text.isspace():
            self._content = True

    def _doctype(self, *_: object) -> None:
        raise _Refused("A narrative must not have a document type or entities.")

    def _instruction(self, *_: object) -> None:
        raise _Refused("A narrative must not have processing instructions.")

    def _fault(self, fault: str) -> None:
        self.faults.append(fault)
        if len(self.faults) >= _MOST_FAULTS:
            raise _Refused("The narrative has further faults.")
