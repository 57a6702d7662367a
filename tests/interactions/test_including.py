"""What a cursor to further included resources holds."""

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.interactions.cursor import decode_cursor, encode_cursor
from fhir_server.interactions.including import MOST_MATCHES, Window

_RIDS = st.integers(1, 2**62)
_PLACES = st.tuples(_RIDS, st.integers(1, 2**31 - 1))
_POSITIONS = st.lists(st.text(max_size=5) | st.integers() | st.none(), max_size=4).map(tuple)


@given(
    _POSITIONS,
    _POSITIONS,
    st.lists(_PLACES, max_size=40, unique_by=lambda place: place[0]).map(sorted).map(tuple),
    _PLACES,
)
def test_a_window_comes_back_from_its_cursor(
    origin: tuple[object, ...],
    beyond: tuple[object, ...],
    matches: tuple[tuple[int, int], ...],
    after: tuple[int, int],
) -> None:
    window = Window(origin, beyond, matches, after)
    text = encode_cursor(b"key", "search", window.packed())
    assert Window.unpacked(decode_cursor(b"key", "search", text)) == window


def test_the_cursor_of_the_largest_page_fits_a_url() -> None:
    matches = tuple((number * 100_000, 3) for number in range(1, MOST_MATCHES + 1))
    text = encode_cursor(b"key", "search", Window((), (1,), matches, (1, 1)).packed())
    assert len(text) < 7_000
