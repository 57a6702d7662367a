"""Which concept is a kind of which: a partial order on the positions of a code system."""

from collections.abc import Iterable, Mapping


class CircularHierarchy(ValueError):
    """A concept is above itself; `args[0]` is its position."""


class Hierarchy:
    """The is-a relation that direct relations make.

    edges: pairs of the position above and the position below. Raises `CircularHierarchy`.
    """

    def __init__(self, edges: Iterable[tuple[int, int]]) -> None:
        self._children: dict[int, list[int]] = {}
        self._parents: dict[int, list[int]] = {}
        for above, below in set(edges):
            self._children.setdefault(above, []).append(below)
            self._parents.setdefault(below, []).append(above)
        self._refuse_circles()

    def _refuse_circles(self) -> None:
        waiting = {below: len(above) for below, above in self._parents.items()}
        free = [above for above in self._children if above not in waiting]
        while free:
            for below in self._children.get(free.pop(), ()):
                waiting[below] -= 1
                if not waiting[below]:
                    del waiting[below]
                    free.append(below)
        if waiting:
            raise CircularHierarchy(min(waiting))

    def __bool__(self) -> bool:
        return bool(self._children)

    def parents(self, position: int) -> list[int]:
        """The positions directly above."""
        return self._parents.get(position, [])

    def children(self, position: int) -> list[int]:
        """The positions directly below."""
        return self._children.get(position, [])

    def descendants(self, position: int) -> set[int]:
        """All positions below, without itself."""
        return _reached(self._children, position)

    def ancestors(self, position: int) -> set[int]:
        """All positions above, without itself."""
        return _reached(self._parents, position)

    def subsumes(self, above: int, below: int) -> bool:
        """Whether the second is the first or a kind of it."""
        return above == below or above in _reached(self._parents, below)


def _reached(steps: Mapping[int, list[int]], start: int) -> set[int]:
    found: set[int] = set()
    ahead = {start}
    while ahead:
        reached = {position for at in ahead if at in steps for position in steps[at]}
        ahead = reached - found
        found |= ahead
    return found
