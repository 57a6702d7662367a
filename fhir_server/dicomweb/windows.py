"""Which values a picture shows from black to white (PS3.3 C.11.2, PS3.18 8.3.5.1.4)."""

import asyncio
import math
import struct
from array import array
from dataclasses import dataclass

from fhir_server.dicom.breaker import ArchiveAway
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.outcome import Invalid, Issue

_FUNCTIONS = ("linear", "linear-exact", "sigmoid")
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = struct.Struct("<8xH")
# A larger picture is drawn as the archive draws it: looking at each value would take too long.
_MOST_BYTES = 16 * 1024 * 1024
_WINDOW_CENTER, _TABLES, _COLORS = "0028-1050", "0028-3010", "0028-0004"


@dataclass(frozen=True, slots=True)
class Window:
    """The middle of the values, how many of them there are, and how they become grey."""

    center: float
    width: float
    function: str = "linear"

    @property
    def text(self) -> str:
        """As DICOMweb writes it."""
        return f"{self.center:.10g},{self.width:.10g},{self.function}"


def read_window(text: str) -> Window | None:
    """The parameter `window` of a picture; None where it is not given. Raises `Invalid`."""
    if not text:
        return None
    center, _, rest = text.partition(",")
    width, _, function = rest.partition(",")
    try:
        found = Window(float(center), float(width), function or "linear")
    except ValueError:
        found = Window(math.nan, 0)
    if not math.isfinite(found.center + found.width) or found.width <= 0:
        raise _wrong(text)
    if found.function not in _FUNCTIONS:
        raise _wrong(text)
    return found


def _wrong(text: str) -> Invalid:
    issue = f"window={text[:50]!r}: expected center,width,function; {', '.join(_FUNCTIONS)}"
    return Invalid(Issue("value", issue))


async def missing_window(archive: Orthanc, id_: str, frame: int) -> Window | None:
    """All values of a grey picture that names no window; None where it does, or is none.

    An archive that draws such a picture as it is draws most of them black.
    id_: of the instance in the archive. frame: counted from 1.
    """
    colors = await _tag(archive, id_, _COLORS)
    if not colors.startswith("MONOCHROME"):
        return None
    if await _tag(archive, id_, _WINDOW_CENTER) or await _tag(archive, id_, _TABLES):
        return None
    try:
        values = await _values(archive, f"/instances/{id_}/frames/{frame - 1}/numpy")
    except ArchiveAway as away:
        if not away.answered:
            raise
        return None
    return await asyncio.to_thread(_range, values)


async def _tag(archive: Orthanc, id_: str, tag: str) -> str:
    answer = await archive.get(f"/instances/{id_}/content/{tag}")
    return answer.text.strip("\0 ") if answer.status_code == 200 else ""


async def _values(archive: Orthanc, path: str) -> bytes:
    found = bytearray()
    async with archive.stream(path) as answer:
        if answer.status_code != 200:
            return b""
        async for chunk in answer.aiter_bytes():
            found += chunk
            if len(found) > _MOST_BYTES:
                return b""
    return bytes(found)


def _range(file: bytes) -> Window | None:
    """The range of the values in a file of NumPy's, as the archive gives them: 32 bit floats."""
    if not file.startswith(_MAGIC) or len(file) < _HEADER.size:
        return None
    start = _HEADER.size + _HEADER.unpack_from(file)[0]
    if b"'<f4'" not in file[:start]:
        return None
    values = array("f")
    values.frombytes(file[start : start + (len(file) - start) // 4 * 4])
    if not values:
        return None
    least, most = min(values), max(values)
    if not math.isfinite(least + most) or least == most:
        return None
    return Window((least + most) / 2, most - least)
