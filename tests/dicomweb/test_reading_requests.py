"""What clients write in queries and headers is understood or refused, whatever it is."""

import math
import struct
from array import array
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.dicomweb.accepting import Accepted, frames, instances
from fhir_server.dicomweb.asking import understood
from fhir_server.dicomweb.windows import Window, _range, read_window
from fhir_server.outcome import Invalid, Refusal

_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def numpy(values: list[float], kind: str = "<f4") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (1,{len(values)},1), }}"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    return start + array("f", values).tobytes()


@given(_NUMBERS, st.floats(1e-3, 1e6))
def test_a_window_is_read_as_it_is_written(center: float, width: float) -> None:
    for function in ("linear", "linear-exact", "sigmoid"):
        found = read_window(f"{center!r},{width!r},{function}")
        assert found == Window(center, width, function)
        again = read_window(found.text)
        assert again is not None
        assert math.isclose(again.center, center, rel_tol=1e-9, abs_tol=1e-300)


@given(st.text(max_size=40))
def test_any_other_text_is_no_window(text: str) -> None:
    with suppress(Invalid):
        found = read_window(text)
        assert found is None or found.width > 0


@given(st.lists(_NUMBERS, min_size=1, max_size=50))
def test_the_range_of_values_is_what_a_picture_shows(values: list[float]) -> None:
    found = _range(numpy(values))
    stored = array("f", values)
    if min(stored) == max(stored) or not math.isfinite(max(stored) - min(stored)):
        assert found is None or found.width > 0
    else:
        assert found is not None
        assert math.isclose(found.center - found.width / 2, min(stored), abs_tol=found.width * 1e-6)
        assert math.isclose(found.center + found.width / 2, max(stored), abs_tol=found.width * 1e-6)


@given(st.binary(max_size=200), st.integers(0, 100))
def test_what_an_archive_gives_instead_of_values_is_no_range(data: bytes, cut: int) -> None:
    for given_ in (data, numpy([1.0, 2.0])[:cut], numpy([1.0, math.nan]), numpy([1.0], "<u1")):
        found = _range(given_)
        assert found is None or math.isfinite(found.center)


@given(st.text(max_size=60))
def test_a_field_is_a_tag_or_refused(text: str) -> None:
    with suppress(Invalid):
        found = understood("study", [("includefield", text)])
        for tag in found.include:
            assert len(tag) == 8
            assert int(tag, 16) > 0
        assert "&" not in found.in_archive.replace("&includefield=", "")


@pytest.mark.parametrize("read", [frames, instances])
@given(accept=st.text(max_size=80))
def test_an_accept_header_is_understood_or_refused(
    read: Callable[[str], Accepted], accept: str
) -> None:
    with suppress(Refusal):
        found = read(accept)
        assert found.header.startswith("multipart/related; type=")
        assert found.header.isprintable()
