"""The form that JSON has in memory to XML (R4 xml.html), by one writer for each type."""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

from fhir_server.outcome import Invalid, Issue
from fhir_server.spec import Definitions, definitions
from fhir_server.validation.content import properties
from fhir_server.validation.found import quoted
from fhir_server.xml.narrative import is_division
from fhir_server.xml.plan import FHIR
from fhir_server.xml.values import attribute, inexpressible

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'

# (value, the object that holds it, the pieces written so far)
Writer = Callable[[Any, dict[str, Any], list[str]], None]
# (object, the pieces written so far)
Content = Callable[[dict[str, Any], list[str]], None]


def encode_xml(resource: dict[str, Any], *, pretty: bool = False) -> bytes:
    """A resource as an XML document in UTF-8, its elements in the order R4 documents.

    pretty: indented by two spaces for people; narratives stay as they are.
    Raises `Invalid` for what is no resource of R4, and (406) for a character that XML lacks.
    """
    pieces: list[str] = []
    try:
        _writers().resource(resource, pieces, f' xmlns="{FHIR}"')
    except RecursionError:
        raise Invalid(Issue("structure", "The resource is nested too deeply for XML")) from None
    text = (
        "\n".join([_DECLARATION, *_indented(pieces), ""])
        if pretty
        else _DECLARATION + "".join(pieces)
    )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise inexpressible(ord(error.object[error.start])) from None


def _indented(pieces: list[str]) -> list[str]:
    lines: list[str] = []
    depth = 0
    for piece in pieces:
        if piece.startswith("</"):
            depth -= 1
        lines.append("  " * depth + piece)
        # A narrative is one piece, with its end tag.
        if not piece.endswith("/>") and "</" not in piece:
            depth += 1
    return lines


@cache
def _writers() -> "_Writers":
    return _Writers(definitions())


class _Writers:
    """The writers of all types, each compiled when it is first met."""

    def __init__(self, facts: Definitions) -> None:
        self._definitions = facts
        self._types: dict[str, Content] = {}
        self._resources: dict[str, Content] = {}
        self._compiling = Lock()

    def resource(self, value: Any, pieces: list[str], declaration: str = "") -> None:
        """Write a whole resource."""
        name = value.get("resourceType") if isinstance(value, dict) else None
        content = self._resources.get(name) if isinstance(name, str) else None
        if content is None:
            if not isinstance(name, str) or name not in self._definitions.resource_types:
                raise Invalid(Issue("structure", "Expected a resource with a type of R4"))
            with self._compiling:
                content = self._resources[name] = self._type(name)
        pieces.append(f"<{name}{declaration}>")
        content(value, pieces)
        pieces.append(f"</{name}>")

    def _type(self, name: str) -> Content:
        if name in self._types:
            return self._types[name]
        definition = self._definitions.types[name]
        writers: dict[str, Writer] = {}
        ranks: dict[str, int] = {}
        content = self._types[name] = _content(name, writers, ranks)
        attributes = {"resourceType"} if definition.kind == "resource" else {"id"}
        if name == "Extension":
            attributes.add("url")
        for rank, element in enumerate(definition.elements.values()):
            repeats = element.max is None
            for property_, type_ in properties(element):
                primitive = not element.content and self._is_primitive(type_)
                if property_ not in attributes and primitive:
                    sibling = _alone(property_, self._type("Element"), repeats=repeats)
                    writers[f"_{property_}"] = sibling
                    ranks[f"_{property_}"] = rank
                ranks[property_] = rank
                writers[property_] = self._writer(
                    property_, element.content or type_, repeats=repeats
                )
        for attribute_ in attributes:
            writers[attribute_], ranks[attribute_] = _nothing, -1
        return content

    def _is_primitive(self, type_: str) -> bool:
        definition = self._definitions.types.get(type_)
        return definition is not None and definition.kind == "primitive-type" and type_ != "xhtml"

    def _writer(self, name: str, type_: str, *, repeats: bool) -> Writer:
        if type_ == "xhtml":
            return _narrative
        if type_ == "Resource":
            return self._holder(name, repeats=repeats)
        if self._is_primitive(type_):
            return (_primitives if repeats else _primitive)(name, self._type("Element"))
        content = self._type(type_)
        write = _extension(name, content) if type_ == "Extension" else _complex(name, content)
        return _each(write) if repeats else write

    def _holder(self, name: str, *, repeats: bool) -> Writer:
        def write(value: Any, _holder: dict[str, Any], pieces: list[str]) -> None:
            pieces.append(f"<{name}>")
            self.resource(value, pieces)
            pieces.append(f"</{name}>")

        return _each(write) if repeats else write


def _content(name: str, writers: dict[str, Writer], ranks: dict[str, int]) -> Content:
    """The elements of an object in their order."""
    rank = ranks.__getitem__

    def write(value: dict[str, Any], pieces: list[str]) -> None:
        try:
            names = sorted(value, key=rank)
        except (KeyError, TypeError):
            raise _unknown(name, value, ranks) from None
        for each in names:
            writers[each](value[each], value, pieces)

    return write


def _unknown(name: str, value: Any, known: dict[str, int]) -> Invalid:
    if not isinstance(value, dict):
        return Invalid(Issue("structure", f"Expected an object ({name})"))
    strange = next(each for each in value if each not in known)
    return Invalid(Issue("structure", f"Unknown element {quoted(strange)} in {name}"))


def _nothing(_value: Any, _holder: dict[str, Any], _pieces: list[str]) -> None:
    pass


def _complex(name: str, content: Content) -> Writer:
    start, end = f"<{name}>", f"</{name}>"

    def write(value: Any, _holder: dict[str, Any], pieces: list[str]) -> None:
        pieces.append(f'<{name} id="{attribute(value["id"])}">' if "id" in value else start)
        content(value, pieces)
        pieces.append(end)

    return write


def _extension(name: str, content: Content) -> Writer:
    end = f"</{name}>"

    def write(value: Any, _holder: dict[str, Any], pieces: list[str]) -> None:
        id_ = f' id="{attribute(value["id"])}"' if "id" in value else ""
        url = f' url="{attribute(value["url"])}"' if "url" in value else ""
        pieces.append(f"<{name}{id_}{url}>")
        content(value, pieces)
        pieces.append(end)

    return write


def _each(write: Writer) -> Writer:
    def write_all(value: Any, holder: dict[str, Any], pieces: list[str]) -> None:
        for item in value:
            write(item, holder, pieces)

    return write_all


def _primitive(name: str, extensions: Content) -> Writer:
    start, sibling = f'<{name} value="', f"_{name}"

    def write(value: Any, holder: dict[str, Any], pieces: list[str]) -> None:
        if sibling in holder:
            _with_sibling(name, value, holder[sibling], extensions, pieces)
        else:
            pieces.append(f'{start}{attribute(value)}"/>')

    return write


def _primitives(name: str, extensions: Content) -> Writer:
    start, sibling = f'<{name} value="', f"_{name}"

    def write(value: Any, holder: dict[str, Any], pieces: list[str]) -> None:
        siblings = holder.get(sibling)
        if siblings is None:
            for item in value:
                pieces.append(f'{start}{attribute(item)}"/>')  # noqa: PERF401 - into the same list
            return
        for item, beside in zip(value, siblings, strict=True):
            _with_sibling(name, item, beside, extensions, pieces)

    return write


def _alone(name: str, extensions: Content, *, repeats: bool) -> Writer:
    """The sibling of a primitive; written with the value where there is one."""

    def write(siblings: Any, holder: dict[str, Any], pieces: list[str]) -> None:
        if name in holder:
            return
        for beside in siblings if repeats else (siblings,):
            _with_sibling(name, None, beside, extensions, pieces)

    return write


def _with_sibling(
    name: str, value: Any, beside: Any, extensions: Content, pieces: list[str]
) -> None:
    """A primitive with its id and extensions (R4 json.html#primitive)."""
    beside = beside or {}
    id_ = f' id="{attribute(beside["id"])}"' if "id" in beside else ""
    text = "" if value is None else f' value="{attribute(value)}"'
    if beside.keys() <= {"id"}:
        pieces.append(f"<{name}{id_}{text}/>")
        return
    pieces.append(f"<{name}{id_}{text}>")
    extensions(beside, pieces)
    pieces.append(f"</{name}>")


def _narrative(value: Any, _holder: dict[str, Any], pieces: list[str]) -> None:
    if not isinstance(value, str) or not is_division(value):
        raise Invalid(Issue("structure", "Expected a narrative that is one XHTML div"))
    pieces.append(value)
