"""Multipart answers of the archive passed on piece by piece, under a boundary of ours.

The archive's parts say where it is (`Content-Location`); that is left out.
"""

import secrets
from collections.abc import AsyncIterator

import httpx
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from fhir_server.dicom.orthanc import ArchiveAway
from fhir_server.http.parts import PartHeaders

_PASSED = frozenset({b"content-type", b"content-length"})


class Relay:
    """One multipart answer. content_type: of ours."""

    def __init__(self, response: httpx.Response) -> None:
        given = response.headers.get("content-type", "")
        _, options = parse_options_header(given)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise ArchiveAway("its answer is not multipart")
        type_ = options.get(b"type", b"application/octet-stream").decode("latin-1")
        kind = type_.partition(";")[0].strip()
        self._response = response
        self._boundary = secrets.token_hex(16).encode()
        self.content_type = f'multipart/related; type="{kind}"; boundary={self._boundary.decode()}'
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

    async def pieces(self) -> AsyncIterator[bytes]:
        """The answer as ours. What breaks off here breaks off there: without a last boundary."""
        try:
            async for chunk in self._response.aiter_bytes():
                self._parser.write(chunk)
                if self._output:
                    piece = b"".join(self._output)
                    self._output.clear()
                    yield piece
        except MultipartParseError:
            raise ArchiveAway("its answer is not multipart") from None
        yield b"--" + self._boundary + b"--\r\n"

    def _begin(self) -> None:
        passed = (each for each in self._headers.found if each[0].lower() in _PASSED)
        lines = [b"--" + self._boundary, *(name + b": " + text for name, text in passed)]
        self._output.append(b"\r\n".join([*lines, b"", b""]))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._output.append(data[start:end])

    def _end_part(self) -> None:
        self._output.append(b"\r\n")
