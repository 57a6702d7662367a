"""Cuts a file into the requests that store it, without building its resources.

Only the fields that decide how to send are decoded; the bytes of the resources are passed on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TypeVar
from urllib.parse import quote

import msgspec

from fhir_server.load.sources import Source

BATCH_ENTRIES = 200
BATCH_BYTES = 4_000_000
_SENT_AS_THEY_ARE = ("transaction", "batch")
_HOLD_RESOURCES = ("collection", "searchset", "document")
_REPEATABLE = ("PUT", "DELETE", "GET", "HEAD")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Unloadable(Exception):
    """What a file holds cannot be sent; `is_fhir` is false when it is something else altogether."""

    def __init__(self, reason: str, is_fhir: bool = True):
        super().__init__(reason)
        self.is_fhir = is_fhir


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of a request; `position` counts from 0 in the Bundle, lines from 1 in NDJSON."""

    position: int
    method: str
    repeatable: bool
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """One request: a single resource (`path`), a transaction (`whole`), or a batch of entries."""

    index: int
    method: str
    path: str
    entries: tuple[Entry, ...]
    whole: bytes = b""
    atomic: bool = False
    read: int = 0
    refused: tuple[tuple[int, str], ...] = ()

    @property
    def body(self) -> bytes:
        """What is sent."""
        return self.whole or _bundle(b"batch", self.entries)

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice leaves the same as sending it once."""
        return all(entry.repeatable for entry in self.entries)

    def only(self, positions: frozenset[int]) -> "Part":
        """The same batch with only some of its entries."""
        entries = tuple(entry for entry in self.entries if entry.position in positions)
        if self.atomic or len(entries) == len(self.entries):
            return self
        return Part(self.index, self.method, self.path, entries, read=self.read)


def cut(source: Source) -> Iterator[Part]:
    """The requests that store the file, in order. Raises Unloadable, OSError, EOFError."""
    with source.open() as (content, below):
        if source.is_ndjson:
            yield from _cut_lines(content, below)
        else:
            data = content.read().removeprefix(_BYTE_ORDER_MARK)
            yield from _cut_document(data, source.size)


def identifiers(part: Part) -> Iterator[tuple[str, str]]:
    """Type and `system|value` of what a transaction creates: evidence that it was stored."""
    for raw in _decode(_Bundle, part.whole).entry:
        entry = _decode(_BundleEntry, raw)
        request = entry.request or _Request()
        if request.method != "POST" or request.if_none_exist is not None:
            continue
        try:
            resource = msgspec.json.decode(entry.resource, type=_Identified)
        except msgspec.ValidationError:
            continue  # an identifier of another shape is no evidence
        for identifier in resource.identifier:
            if identifier.system and identifier.value:
                yield resource.type, f"{identifier.system}|{identifier.value}"


class _Head(msgspec.Struct):
    type: str = msgspec.field(default="", name="resourceType")
    id: str = ""


class _Request(msgspec.Struct):
    method: str = ""
    if_none_exist: str | None = msgspec.field(default=None, name="ifNoneExist")


class _Search(msgspec.Struct):
    mode: str = ""


class _BundleEntry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    full_url: str = msgspec.field(default="", name="fullUrl")
    request: _Request | None = None
    search: _Search | None = None


class _Bundle(msgspec.Struct):
    type: str = ""
    entry: list[msgspec.Raw] = []


class _Identifier(msgspec.Struct):
    system: str = ""
    value: str = ""


class _Identified(msgspec.Struct):
    type: str = msgspec.field(default="", name="resourceType")
    identifier: list[_Identifier] = []


_Decoded = TypeVar("_Decoded")


def _decode(type_: type[_Decoded], data: bytes | msgspec.Raw) -> _Decoded:
    try:
        return msgspec.json.decode(data, type=type_)
    except ValueError as error:
        raise Unloadable(f"not readable as JSON of a FHIR resource: {error}") from error


def _cut_document(data: bytes, size: int) -> Iterator[Part]:
    head = _decode(_Head, data)
    if not head.type:
        raise Unloadable("no resourceType", is_fhir=False)
    if head.type != "Bundle":
        entry, path = _stored_alone(head)
        yield Part(0, entry.method, path, (entry,), whole=data, read=size)
        return
    bundle = _decode(_Bundle, data)
    if bundle.type in _SENT_AS_THEY_ARE:
        yield _as_it_is(bundle, data, size)
    elif bundle.type in _HOLD_RESOURCES:
        yield from _resources_of(bundle, size)
    else:
        raise Unloadable(f"a Bundle of type {bundle.type!r} holds nothing that can be stored")


def _stored_alone(head: _Head) -> tuple[Entry, str]:
    if head.id:
        return Entry(0, "PUT", repeatable=True), f"/{head.type}/{quote(head.id, safe='')}"
    return Entry(0, "POST", repeatable=False), f"/{head.type}"


def _as_it_is(bundle: _Bundle, data: bytes, size: int) -> Part:
    entries = []
    for position, raw in enumerate(bundle.entry):
        request = _decode(_BundleEntry, raw).request or _Request()
        repeatable = request.method in _REPEATABLE or request.if_none_exist is not None
        entries.append(Entry(position, request.method, repeatable, bytes(raw)))
    atomic = bundle.type == "transaction"
    if atomic:
        entries = [Entry(e.position, e.method, e.repeatable) for e in entries]
    return Part(0, "POST", "", tuple(entries), whole=data, atomic=atomic, read=size)


def _resources_of(bundle: _Bundle, size: int) -> Iterator[Part]:
    found = [
        (position, entry, _decode(_Head, entry.resource))
        for position, entry in enumerate(_decode(_BundleEntry, raw) for raw in bundle.entry)
        if entry.resource and not (entry.search and entry.search.mode == "outcome")
    ]
    if any(not head.id for _, _, head in found):
        # Without ids they can only name each other by fullUrl, which a transaction resolves.
        entries = tuple(_entry(i, head, e.resource, e.full_url) for i, e, head in found)
        whole = _bundle(b"transaction", entries)
        yield Part(0, "POST", "", entries, whole=whole, atomic=True, read=size)
        return
    entries = tuple(_entry(i, head, e.resource) for i, e, head in found)
    starts = range(0, len(entries), BATCH_ENTRIES)
    for index, start in enumerate(starts):
        read = size if index == len(starts) - 1 else 0
        yield Part(index, "POST", "", entries[start : start + BATCH_ENTRIES], read=read)


def _cut_lines(content: IO[bytes], below: IO[bytes]) -> Iterator[Part]:
    index = read = size = 0
    entries: list[Entry] = []
    refused: list[tuple[int, str]] = []

    def part() -> Part:
        nonlocal index, read, size, entries, refused
        position = below.tell()
        made = Part(index, "POST", "", tuple(entries), read=position - read, refused=tuple(refused))
        index, read, size, entries, refused = index + 1, position, 0, [], []
        return made

    for number, line in enumerate(content, 1):
        line = line.removeprefix(_BYTE_ORDER_MARK).strip()
        if not line:
            continue
        try:
            head = _decode(_Head, line)
            if not head.type:
                raise Unloadable("no resourceType", is_fhir=False)
        except Unloadable as error:
            refused.append((number, str(error)))
            continue
        entries.append(_entry(number, head, line))
        size += len(line)
        if len(entries) >= BATCH_ENTRIES or size >= BATCH_BYTES:
            yield part()
    if entries or refused:
        yield part()


def _entry(position: int, head: _Head, resource: bytes | msgspec.Raw, full_url: str = "") -> Entry:
    alone, path = _stored_alone(head)
    content = b'{"resource":%b,"request":{"method":"%b","url":"%b"}' % (
        bytes(resource),
        alone.method.encode(),
        path.removeprefix("/").encode(),
    )
    if full_url:
        content += b',"fullUrl":' + msgspec.json.encode(full_url)
    return Entry(position, alone.method, alone.repeatable, content + b"}")


def _bundle(type_: bytes, entries: tuple[Entry, ...]) -> bytes:
    joined = b",".join(entry.content for entry in entries)
    return b'{"resourceType":"Bundle","type":"%b","entry":[%b]}' % (type_, joined)
