"""Multipart answers of the archive passed on piece by piece, under a boundary of ours.

Or the one part of an answer by itself. The archive's parts say where it is (`Content-Location`);
that is left out.
"""

import secrets
from collections.abc import AsyncIterator

import httpx
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from fhir_server.dicom.breaker import ArchiveAway
from fhir_server.http.parts import PartHeaders

_PASSED = frozenset({b"content-type", b"content-length"})
# By itself an answer is for browsers too, which must not take it for a page.
_HARMLESS = ("application/dicom", "application/octet-stream", "image/j", "image/dicom-rle")


class Relay:
    """One multipart answer.

    alone: its one part is meant, without what is around it. headers: of ours, once it has begun.
    """

    def __init__(self, response: httpx.Response, *, alone: bool = False) -> None:
        given = response.headers.get("content-type", "")
        _, options = parse_options_header(given)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise ArchiveAway("its answer is not multipart")
        type_ = options.get(b"type", b"application/octet-stream").decode("latin-1")
        kind = type_.partition(";")[0].strip()
        self._chunks = response.aiter_bytes()
        self._alone = alone
        self._boundary = secrets.token_hex(16).encode()
        content_type = f'multipart/related; type="{kind}"; boundary={self._boundary.decode()}'
        self.headers = {} if alone else {"Content-Type": content_type}
        self._output: list[bytes] = []
        self._headers = PartHeaders()
        self._parser = MultipartParser(
            boundary,
            {
                **self._headers.callbacks,
                "on_headers_finished": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end_part,
            },
        )

    async def begin(self) -> None:
        """Read until it is known what comes."""
        while not self.headers:
            try:
                self._parse(await anext(self._chunks))
            except StopAsyncIteration:
                raise ArchiveAway("its answer has no parts") from None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The answer as ours. What breaks off here breaks off there: without its end."""
        if self._output:
            yield self._taken()
        async for chunk in self._chunks:
            self._parse(chunk)
            if self._output:
                yield self._taken()
        if not self._alone:
            yield b"--" + self._boundary + b"--\r\n"

    def _parse(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError:
            raise ArchiveAway("its answer is not multipart") from None

    def _taken(self) -> bytes:
        piece = b"".join(self._output)
        self._output.clear()
        return piece

    def _begin(self) -> None:
        passed = [each for each in self._headers.found if each[0].lower() in _PASSED]
        if not self._alone:
            lines = [b"--" + self._boundary, *(name + b": " + text for name, text in passed)]
            self._output.append(b"\r\n".join([*lines, b"", b""]))
        elif self.headers:
            raise ArchiveAway("its answer has more parts than were asked for")
        else:
            found = {n.decode("latin-1").lower(): t.decode("latin-1") for n, t in passed}
            if not found.get("content-type", "").startswith(_HARMLESS):
                found["content-type"] = "application/octet-stream"
            self.headers = found

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._output.append(data[start:end])

    def _end_part(self) -> None:
        if not self._alone:
            self._output.append(b"\r\n")
