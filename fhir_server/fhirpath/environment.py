"""What one evaluation knows and may use up."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_server.fhirpath.nodes import Node

# Takes a reference's text, gives the resource or None.
Resolver = Callable[[str], dict[str, Any] | None]
# By the identity of a Bundle's value, its entries by `fullUrl`.
Entries = dict[int, dict[str, Node]]

MAX_ITEMS = 1_000_000
MAX_TEXT = 10_000_000
SECONDS = 5.0
_BETWEEN_CHECKS = 1_000


@dataclass(frozen=True, slots=True)
class Services:
    """What FHIRPath asks of others (R4 fhirpath.html#functions); what is None is refused.

    member_of: takes a value (a dict or a code's text), its type and the URL of a value set.
    conforms_to: takes a resource or element, its type and the URL of a profile; None if the
        profile is unknown.
    subsumes: takes two Codings or CodeableConcepts; whether the first contains the second.
    trace: takes the name and the values that `trace()` was given.
    """

    member_of: Callable[[Any, str, str], bool | None] | None = None
    conforms_to: Callable[[Any, str, str], bool | None] | None = None
    subsumes: Callable[[Any, Any], bool | None] | None = None
    trace: Callable[[str, list[Any]], None] | None = None


class LimitReached(Exception):
    """The evaluation may not go on; says why."""


class Environment:
    """One evaluation: its context, the caller's variables and hooks, and what is left to use.

    context: the item evaluation began with.
    index, total: what `$index` and `$total` are at the moment.
    left: how many items may still be produced.
    """

    # Most evaluations change none of these, so they cost nothing to set up.
    index: int | None = None
    total: Any = ()
    variables: Mapping[str, Any] = {}
    resolver: Resolver | None = None
    services = Services()
    seconds = SECONDS
    left = MAX_ITEMS
    _checkpoint = MAX_ITEMS - _BETWEEN_CHECKS
    _deadline: float | None = None
    _now: datetime | None = None
    known_entries: Entries | None = None

    def __init__(self, context: Any) -> None:
        self.context = context

    def charge(self, items: int = 1) -> None:
        """Account for items produced; raises `LimitReached` when it was too much or too long."""
        self.left -= items
        if self.left < self._checkpoint:
            self._check()

    def _check(self) -> None:
        if self.left < 0:
            raise LimitReached(f"The evaluation produced more than {MAX_ITEMS} items")
        self._checkpoint = self.left - _BETWEEN_CHECKS
        self.remaining()

    def remaining(self) -> float:
        """The seconds that are left; raises `LimitReached` when there are none."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self.seconds
        if now >= self._deadline:
            raise LimitReached(f"The evaluation took longer than {self.seconds} seconds")
        return self._deadline - now

    def text(self, value: str) -> str:
        """`value`, unless it is too long to go on with."""
        if len(value) > MAX_TEXT:
            raise LimitReached(f"A text grew beyond {MAX_TEXT} characters")
        self.charge(1 + len(value) // 1000)
        return value

    def now(self) -> datetime:
        """The time of this evaluation: the same whenever it is asked for (N1 section 5.9)."""
        if self._now is None:
            self._now = datetime.now().astimezone()
        return self._now

    def entries(self, bundle: Node, read: Callable[[Node], dict[str, Node]]) -> dict[str, Node]:
        """The entries of a Bundle by their `fullUrl`, read once."""
        if self.known_entries is None:
            self.known_entries = {}
        key = id(bundle.value)
        if key not in self.known_entries:
            self.known_entries[key] = read(bundle)
        return self.known_entries[key]
