"""What is kept ready, up to a total weight: what was not used for longest goes first."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """Values by key; `most` is the total weight kept. The last one put in always stays."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._total = 0
        self._held: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, which counts as used now."""
        held = self._held.get(key)
        if held is None:
            return None
        self._held.move_to_end(key)
        return held[0]

    def put(self, key: Key, value: Value, weight: int = 1) -> None:
        """Keep a value, and let go of what is then too much."""
        self.drop(key)
        self._held[key] = (value, weight)
        self._total += weight
        while self._total > self._most and len(self._held) > 1:
            _, (_, freed) = self._held.popitem(last=False)
            self._total -= freed

    def drop(self, key: Key) -> None:
        """Let go of a value, if it is there."""
        held = self._held.pop(key, None)
        if held is not None:
            self._total -= held[1]

    def items(self) -> Iterator[tuple[Key, Value]]:
        """All that is kept, in a list of its own."""
        return iter([(key, value) for key, (value, _) in self._held.items()])
