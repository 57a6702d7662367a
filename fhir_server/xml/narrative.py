"""Narratives between JSON, where they are text, and XML, where they are elements."""

from collections.abc import Mapping
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

XHTML = "http://www.w3.org/1999/xhtml"
_DIV = f"{XHTML} div"
_XML = "http://www.w3.org/XML/1998/namespace"


class _NotADivision(Exception):
    pass


def is_division(text: str) -> bool:
    """Whether a text is one whole XHTML div, so that it can stand in a document as it is."""
    if not text.startswith("<") or not text.endswith(">") or text.startswith("<?"):
        return False
    parser = expat.ParserCreate(namespace_separator=" ")

    def root(name: str, _attributes: object) -> None:
        if name != _DIV:
            raise _NotADivision
        parser.StartElementHandler = None

    def refuse(*_: object) -> None:
        raise _NotADivision

    parser.StartElementHandler = root
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except (_NotADivision, expat.ExpatError, ValueError):
        return False
    finally:
        parser.StartElementHandler = parser.StartDoctypeDeclHandler = None
    return True


def stand_alone(division: str, bindings: Mapping[str | None, str]) -> str:
    """An XHTML div cut from a document, without the namespaces the document declared for it.

    bindings: the namespace of each prefix that is declared around it; None is the default.
    """
    writer = _Writer()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = writer.start
    parser.EndElementHandler = writer.end
    parser.CharacterDataHandler = writer.text
    declared = "".join(
        f" xmlns{f':{prefix}' if prefix else ''}={quoteattr(uri)}"
        for prefix, uri in bindings.items()
        if prefix != "xml"
    )
    parser.Parse(f"<around{declared}>{division}</around>", True)
    return "".join(writer.pieces)


class _Writer:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._depth = 0
        self._open = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            return
        self._close()
        namespace, _, plain = name.rpartition(" ")
        # An element of another namespace keeps it, so that the narrative check can refuse it.
        declared = self._depth == 2 or namespace != XHTML
        self.pieces.append(f"<{plain}" + (f" xmlns={quoteattr(namespace)}" if declared else ""))
        for key, value in attributes.items():
            self.pieces.append(f" {_attribute_name(key)}={quoteattr(value)}")
        self._open = True

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            return
        self.pieces.append("/>" if self._open else f"</{name.rpartition(' ')[2]}>")
        self._open = False

    def text(self, text: str) -> None:
        self._close()
        self.pieces.append(escape(text))

    def _close(self) -> None:
        if self._open:
            self.pieces.append(">")
            self._open = False


def _attribute_name(name: str) -> str:
    namespace, _, plain = name.rpartition(" ")
    return f"xml:{plain}" if namespace == _XML else plain
