"""What comes along with the matches of a page, on as many pages as it takes.

A page carries a bounded number of included resources. If there are more, pages follow that have
nothing but further ones, before the next matches. Their cursors name the matches by row id and
version, so that what comes along is looked up from the very matches that the client got.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Issue
from fhir_server.search.execute import Page
from fhir_server.search.following import Followed, follow
from fhir_server.search.lookups import START, Place, Row, load
from fhir_server.search.query import Query
from fhir_server.search.settle import Settling
from fhir_server.search.sources import Position

# Matches of a page with includes: a cursor that names more of them would be too long for a URL.
MOST_MATCHES = 1000

Cursor = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A page of matches whose included resources take several pages.

    origin: the cursor of the page with the matches; empty for the first page of a search.
    beyond: where the matches after it begin; empty if there were none.
    matches: their places, in order.
    after: the last included resource that was shown.
    """

    origin: Cursor
    beyond: Position
    matches: tuple[Place, ...]
    after: Place

    def packed(self) -> Cursor:
        """What a cursor holds of it."""
        places = _packed(self.matches)
        return (*self.after, places, len(self.origin), *self.origin, *self.beyond)

    @classmethod
    def unpacked(cls, values: Sequence[Any]) -> "Window":
        """The window of a cursor."""
        rid, version, places, length, *rest = values
        return cls(tuple(rest[:length]), tuple(rest[length:]), _unpacked(places), (rid, version))


@dataclass(frozen=True, slots=True)
class Included:
    """What comes along on one page.

    window: where the next page of it begins; None if this is the last.
    notes: what the client should know.
    """

    rows: Sequence[Row] = ()
    window: Window | None = None
    notes: tuple[Issue, ...] = ()


async def included(
    engine: Engine, ctx: Context, at: Settling, query: Query, page: Page, origin: Cursor, more: bool
) -> Included:
    """What comes along with a page of matches.

    origin: the cursor of the page; empty for the first.
    more: whether there are matches after it.
    """
    if not query.includes or not page.matches:
        return Included()
    roots = [
        Row(match.rid, match.version, match.type, match.id, False, match.content)
        for match in page.matches
    ]
    beyond = page.positions[1] if more else ()
    places = tuple(sorted(root.place for root in roots))
    return await _included(engine, ctx, at, query, roots, Window(origin, beyond, places, START))


async def continued(
    engine: Engine, ctx: Context, at: Settling, query: Query, window: Window
) -> Included:
    """What comes along on a page that follows another one with the same matches."""
    roots = await load(at, window.matches)
    return await _included(engine, ctx, at, query, roots, window)


async def _included(
    engine: Engine,
    ctx: Context,
    at: Settling,
    query: Query,
    roots: Sequence[Row],
    window: Window,
) -> Included:
    followed = await follow(
        at,
        engine.index(ctx).parameters,
        engine.circumstances(ctx),
        query.includes,
        roots,
        after=window.after,
        size=engine.limits.included,
    )
    following = None
    if followed.more:
        following = replace(window, after=followed.last)
    return Included(followed.rows, following, tuple(_notes(followed)))


def _notes(followed: Followed) -> Iterable[Issue]:
    if followed.more:
        text = (
            f"{len(followed.rows)} included resources are on this page; its next link leads to "
            f"{followed.more} more, before further matches"
        )
        yield Issue("informational", text, severity="information")
    if followed.stopped:
        text = f"{followed.stopped}; not all are included. Name fewer links, or a smaller _count"
        yield Issue("too-costly", text, severity="warning")


def _packed(places: Iterable[Place]) -> str:
    """Places in order as text: row ids as distances, all numbers in groups of seven bits."""
    data = bytearray()
    before = 0
    for rid, version in places:
        for number in (rid - before, version):
            while number > 127:
                data.append(number & 127 | 128)
                number >>= 7
            data.append(number)
        before = rid
    return base64.b85encode(data).decode()


def _unpacked(text: str) -> tuple[Place, ...]:
    numbers, number, shift = [], 0, 0
    for byte in base64.b85decode(text):
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number, shift = 0, 0
    places: list[Place] = []
    rid = 0
    for distance, version in zip(numbers[::2], numbers[1::2], strict=True):
        rid += distance
        places.append((rid, version))
    return tuple(places)
