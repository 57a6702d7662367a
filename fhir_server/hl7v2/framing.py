"""Frames of MLLP out of a stream of bytes: forgiving, and never silent about it.

A frame is 0x0B, the payload, 0x1C 0x0D (HL7 v2 transport, MLLP release 1 and 2). No sockets here:
bytes go in, events come out. What senders get wrong is mended where it can mean one thing only:
bytes between frames are skipped and counted, a missing 0x0D is forgiven, and where a frame begins
inside another one the first was cut off.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

VT, FS, CR, LF = 0x0B, 0x1C, 0x0D, 0x0A
DEFAULT_LARGEST = 32 * 1024 * 1024
# What is kept of a frame that is too large, enough to answer by its header.
KEPT_OF_LARGE = 4096


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A frame with more bytes than are taken; `start` is what it begins with."""

    start: bytes
    size: int


@dataclass(frozen=True, slots=True)
class CutOff:
    """A frame whose end did not come; `start` is what it begins with."""

    start: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Junk:
    """Bytes that stood outside any frame."""

    size: int


Event = Frame | TooLarge | CutOff | Junk


class _State(Enum):
    OUTSIDE = auto()
    INSIDE = auto()
    ENDING = auto()
    """After 0x1C, which ends the frame if 0x0D follows."""


class _Do(Enum):
    SKIP = auto()
    BEGIN = auto()
    KEEP = auto()
    HOLD = auto()
    CUT = auto()
    END = auto()
    END_AND_BEGIN = auto()
    """The next frame has begun, so this one had ended without its 0x0D."""
    RETURN = auto()
    """The 0x1C was part of the payload, like what follows."""
    RETURN_AND_HOLD = auto()


# What a byte means, and where one is then; None stands for every other byte.
_TABLE: dict[_State, dict[int | None, tuple[_Do, _State]]] = {
    _State.OUTSIDE: {
        VT: (_Do.BEGIN, _State.INSIDE),
        None: (_Do.SKIP, _State.OUTSIDE),
    },
    _State.INSIDE: {
        VT: (_Do.CUT, _State.INSIDE),
        FS: (_Do.HOLD, _State.ENDING),
        None: (_Do.KEEP, _State.INSIDE),
    },
    _State.ENDING: {
        CR: (_Do.END, _State.OUTSIDE),
        LF: (_Do.END, _State.OUTSIDE),
        VT: (_Do.END_AND_BEGIN, _State.INSIDE),
        FS: (_Do.RETURN_AND_HOLD, _State.ENDING),
        None: (_Do.RETURN, _State.INSIDE),
    },
}

# From where one is to the next byte that means anything but the same again.
_NEXT = {
    _State.OUTSIDE: re.compile(rb"\x0b"),
    _State.INSIDE: re.compile(rb"[\x0b\x1c]"),
    _State.ENDING: re.compile(rb"(?s)."),
}
# Line ends between frames are no junk: many senders put them there.
_BLANK = b"\r\n"


class Framer:
    """Takes the bytes of one connection and tells of the frames in them.

    largest: most bytes of a payload; of a larger frame only the start is kept.
    """

    def __init__(self, largest: int = DEFAULT_LARGEST) -> None:
        self._largest = largest
        self._state = _State.OUTSIDE
        self._payload = bytearray()
        self._size = 0
        self._junk = 0
        self._events: list[Event] = []

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._state is not _State.OUTSIDE

    @property
    def is_ending(self) -> bool:
        """Whether only the last byte of a frame is lacking: `settle` ends it after a silence."""
        return self._state is _State.ENDING

    def feed(self, data: bytes) -> list[Event]:
        """What came of some more bytes."""
        at, end = 0, len(data)
        while at < end:
            found = _NEXT[self._state].search(data, at)
            until = found.start() if found else end
            if until > at:
                self._same(data, at, until)
            if found:
                self._act(data[until])
            at = until + 1
        return self._taken()

    def settle(self) -> list[Event]:
        """The sender is silent: a frame that lacks only its last byte has ended."""
        self._settle()
        return self._taken()

    def close(self) -> list[Event]:
        """The connection has ended."""
        self._settle()
        if self._state is _State.INSIDE:
            self._cut()
            self._state = _State.OUTSIDE
        self._tell_junk()
        return self._taken()

    def _settle(self) -> None:
        if self._state is _State.ENDING:
            self._end()
            self._state = _State.OUTSIDE

    def _same(self, data: bytes, at: int, until: int) -> None:
        if self._state is _State.INSIDE:
            self._keep(data[at:until])
        else:
            self._junk += len(data[at:until].translate(None, _BLANK))

    def _act(self, byte: int) -> None:
        row = _TABLE[self._state]
        do, self._state = row.get(byte) or row[None]
        if do is _Do.KEEP or do is _Do.SKIP or do is _Do.HOLD:
            return
        if do is _Do.RETURN:
            self._keep(bytes((FS, byte)))
        elif do is _Do.RETURN_AND_HOLD:
            self._keep(bytes((FS,)))
        elif do is _Do.CUT:
            self._cut()
        elif do is not _Do.BEGIN:
            self._end()
        self._tell_junk()

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._largest:
            self._payload += data
            return
        del self._payload[KEPT_OF_LARGE:]
        self._payload += data[: KEPT_OF_LARGE - len(self._payload)]

    def _end(self) -> None:
        payload, size = self._reset()
        self._events.append(TooLarge(payload, size) if size > self._largest else Frame(payload))

    def _cut(self) -> None:
        payload, size = self._reset()
        self._events.append(CutOff(payload[:KEPT_OF_LARGE], size))

    def _reset(self) -> tuple[bytes, int]:
        found = bytes(self._payload), self._size
        self._payload, self._size = bytearray(), 0
        return found

    def _tell_junk(self) -> None:
        if self._junk:
            self._events.append(Junk(self._junk))
            self._junk = 0

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events


# What a receiver of MLLP release 2 sends once a payload is safe, or cannot be.
COMMITTED = b"\x0b\x06\x1c\r"
NOT_COMMITTED = b"\x0b\x15\x1c\r"


def framed(payload: bytes) -> bytes:
    """A payload in its frame, to be sent in one piece."""
    return b"\x0b" + payload + b"\x1c\r"
