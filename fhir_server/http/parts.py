"""The headers of one part of a multipart body, which a parser hands over bit by bit."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


class PartHeaders:
    """What has come of them, in order.

    callbacks: those that a `MultipartParser` calls for them.
    """

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self._name, self._value = b"", b""

    @property
    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls, by its names for it."""
        return {
            "on_part_begin": self.found.clear,
            "on_header_field": self._field,
            "on_header_value": self._more,
            "on_header_end": self._end,
        }

    def get(self, name: bytes) -> bytes:
        """The last value of a header, named in lower case; empty if it is not there."""
        return next((value for key, value in reversed(self.found) if key.lower() == name), b"")

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _more(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end(self) -> None:
        self.found.append((self._name, self._value))
        self._name, self._value = b"", b""
