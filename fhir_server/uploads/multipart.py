"""Multipart bodies, read piece by piece into files (RFC 7578, RFC 2387, PS3.18 8.6.1.2)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from fhir_server.http.parts import PartHeaders
from fhir_server.outcome import Invalid, Issue
from fhir_server.uploads.spool import Spool, Writing

# Parsing, hashing and writing are done in a thread, by so much at a time.
_PIECE = 256 * 1024
_LONGEST_FIELD = 1_000
_MOST_FIELDS = 20


@dataclass(slots=True)
class Received:
    """What came: fields of a form. The files are in the spool."""

    fields: dict[str, str] = field(default_factory=dict)


async def receive(
    spool: Spool, content_type: str, body: AsyncIterator[bytes], *, part_type: str = ""
) -> Received:
    """Read a body into the spool.

    part_type: what every part has to be; empty for the files and fields of a form, or a single
        file. Raises `Invalid` for a body that is not what it says it is, or ends too soon, and a
        413 `Refusal` for one that is too large.
    """
    parsing = _parsing(spool, content_type, part_type)
    pending = bytearray()
    async for piece in body:
        pending += piece
        if len(pending) >= _PIECE:
            await asyncio.to_thread(parsing.feed, bytes(pending))
            pending.clear()
    await asyncio.to_thread(parsing.feed, bytes(pending))
    await asyncio.to_thread(parsing.end)
    return Received(parsing.fields)


def _parsing(spool: Spool, content_type: str, part_type: str) -> "_Parsing | _Single":
    media_type, options = parse_options_header(content_type)
    if not media_type.startswith(b"multipart/"):
        return _Single(spool)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise Invalid(Issue("invalid", "Content-Type names no boundary of 1 to 70 characters"))
    return _Parsing(spool, boundary, part_type)


class _Single:
    """A body that is one file."""

    def __init__(self, spool: Spool) -> None:
        self.fields: dict[str, str] = {}
        self._writing = spool.new("file")

    def feed(self, data: bytes) -> None:
        self._writing.write(data)

    def end(self) -> None:
        self._writing.end()


class _Parsing:
    """A multipart body, as far as it has come."""

    def __init__(self, spool: Spool, boundary: bytes, part_type: str) -> None:
        self.fields: dict[str, str] = {}
        self._spool = spool
        self._part_type = part_type
        self._headers = PartHeaders()
        self._writing: Writing | None = None
        self._field: str | None = None
        self._text = b""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                **self._headers.callbacks,
                "on_headers_finished": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end_part,
                "on_end": self._end_all,
            },
        )

    def feed(self, data: bytes) -> None:
        """Read on. Raises `Invalid` and a 413 `Refusal`."""
        if not data or self._ended:
            return
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise Invalid(
                Issue("structure", "The body is no multipart body as announced")
            ) from None

    def end(self) -> None:
        """The body is over. Raises `Invalid` unless its last boundary has come."""
        if not self._ended:
            # An archive that takes such a body loses its last file without a word.
            text = "The body ends before its closing boundary; nothing of it was kept"
            raise Invalid(Issue("incomplete", text))

    def _begin(self) -> None:
        type_, _ = parse_options_header(self._headers.get(b"content-type"))
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if self._part_type:
            if type_ and type_.decode("latin-1") != self._part_type:
                shown = type_.decode("latin-1")[:100]
                text = f"A part is {shown!r}; expected {self._part_type}"
                raise Invalid(Issue("not-supported", text), status=415)
            self._writing = self._spool.new(f"part-{len(self._spool.files) + 1}")
        elif b"filename" in options:
            name = options[b"filename"].decode("utf-8", "replace")
            self._writing = self._spool.new(name)
        else:
            self._field = options.get(b"name", b"").decode("utf-8", "replace")
            self._text = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._writing is not None:
            self._writing.write(memoryview(data)[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _LONGEST_FIELD or len(self.fields) >= _MOST_FIELDS:
            text = f"The field {self._field!r} of the form is too long; a file needs a filename"
            raise Invalid(Issue("too-long", text), status=413)

    def _end_part(self) -> None:
        if self._writing is not None:
            self._writing.end()
        elif self._field is not None:
            self.fields[self._field] = self._text.decode("utf-8", "replace").strip()
        self._writing, self._field = None, None

    def _end_all(self) -> None:
        self._ended = True
