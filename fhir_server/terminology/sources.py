"""Where definitions are found by their canonical URL (R4 references.html#canonical)."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from fhir_server.context import Context
from fhir_server.storage.store import Store


class Name(NamedTuple):
    """A resource type and a canonical URL without a version."""

    type: str
    url: str


class Held(NamedTuple):
    """One version of one resource as it is held somewhere: the same name, the same content.

    place: a tenant, or where else it is from.
    row, version: which resource, and which version of it.
    writer: differs even between two versions of one number of which one was rolled back.
    """

    place: str
    row: int
    version: int = 0
    writer: str = ""


class Heading(msgspec.Struct, frozen=True):
    """What decides which of several resources with one URL is meant.

    version: the business version, which the publisher gives.
    content: how much of it a CodeSystem holds (R4 codesystem.html#content).
    """

    url: str = ""
    version: str = ""
    status: str = ""
    content: str = ""


class Sources(Protocol):
    """Resources by URL. What a tenant stores stands before what is shipped."""

    async def locate(
        self, ctx: Context, store: Store, names: Collection[Name]
    ) -> Mapping[Name, tuple[Held, ...]]:
        """What is held under each name now: cheap, so that caches can ask it each time."""

    async def headings(
        self, ctx: Context, store: Store, held: Collection[Held]
    ) -> Mapping[Held, Heading]:
        """The headings of those that still exist."""

    async def contents(
        self, ctx: Context, store: Store, held: Collection[Held]
    ) -> Mapping[Held, bytes]:
        """The JSON of those that still exist."""


def split_canonical(canonical: str) -> tuple[str, str]:
    """URL and version of `url|version`; the version is empty when none is given."""
    url, _, version = canonical.partition("|")
    return url, version


def choose(found: Sequence[tuple[Held, Heading]], version: str) -> tuple[Held, ...]:
    """Those of several that a reference means: one, or all fragments of one code system.

    The place that comes first in `found` before the others, an active one before one that is
    not, a later version before an earlier one.
    version: the one that is asked for, empty for any. Empty when nothing has it.
    """
    fitting = [each for each in found if not version or each[1].version == version]
    if not fitting:
        return ()
    nearest = [each for each in fitting if each[0].place == fitting[0][0].place]
    best, heading = max(nearest, key=lambda each: _rank(each[1]))
    if heading.content != "fragment":
        return (best,)
    return tuple(held for held, other in nearest if other == heading)


def _rank(heading: Heading) -> tuple[int, list[tuple[int, int, str]]]:
    standing = {"active": 2, "retired": 0}.get(heading.status, 1)
    parts = re.findall(r"\d+|[^\d.\-]+", heading.version)
    return standing, [
        (1, int(part), "") if part.isdigit() and part.isascii() else (0, 0, part) for part in parts
    ]
