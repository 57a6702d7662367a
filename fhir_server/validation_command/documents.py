"""Reads resources from files: JSON, XML and NDJSON, one in memory at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_server.fhir_json import decode
from fhir_server.outcome import Issue, Refusal
from fhir_server.xml.decode import decode_xml

# Bytes of a file, or of a line of NDJSON.
MOST_BYTES = 256_000_000
_NDJSON = ".ndjson"
_KINDS = (".json", ".xml", _NDJSON)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Document:
    """One resource of a file, or why there is none.

    label: the file, with `:line` for NDJSON.
    unread: whether the file itself could not be read, so that nothing is known of its content.
    """

    label: str
    resource: Any = None
    issue: Issue | None = None
    unread: bool = False


def documents(paths: Iterable[Path]) -> Iterator[Document]:
    """Everything in the files and, by the names of files, below the folders.

    What lies in a folder and has no `resourceType` is left out, as packages and builds have such
    files; a file that was named must be a resource.
    """
    for path in paths:
        if not path.is_dir():
            yield from _of_file(path, named=True)
            continue
        found = sorted(each for each in path.rglob("*") if _is_meant(each, path))
        if not found:
            yield _unread(path, f"There is no {', '.join(_KINDS[:-1])} or {_NDJSON} file below.")
        for each in found:
            yield from _of_file(each, named=False)


def _is_meant(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in _KINDS and path.is_file()


def _of_file(path: Path, *, named: bool) -> Iterator[Document]:
    try:
        if path.suffix.lower() == _NDJSON:
            yield from _lines(path)
            return
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        yield _unread(path, f"The file cannot be read: {error.strerror or error}.")
        return
    document = _document(_label(path), content)
    if document.unread or named or document.issue is not None or _is_resource(document.resource):
        yield document


def _lines(path: Path) -> Iterator[Document]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_BYTES + 1):
            number += 1
            document = _document(f"{_label(path)}:{number}", line) if line.strip() else None
            if document is not None:
                yield document
                if document.unread:
                    return


def _document(label: str, content: bytes) -> Document:
    if len(content) > MOST_BYTES:
        return Document(label, issue=_fatal(f"It has more than {MOST_BYTES} bytes."), unread=True)
    content = content.removeprefix(_BYTE_ORDER_MARK).strip()
    try:
        return Document(label, decode_xml(content) if content[:1] == b"<" else decode(content))
    except Refusal as error:
        return Document(label, issue=_fatal(str(error)))


def _is_resource(resource: Any) -> bool:
    return isinstance(resource, dict) and "resourceType" in resource


def _unread(path: Path, why: str) -> Document:
    return Document(_label(path), issue=_fatal(why, "exception"), unread=True)


def _fatal(what: str, code: str = "structure") -> Issue:
    return Issue(code, what, severity="fatal")


def _label(path: Path) -> str:
    """The path as text that can be written, whatever bytes the name has."""
    return str(path).encode("utf-8", "backslashreplace").decode()
