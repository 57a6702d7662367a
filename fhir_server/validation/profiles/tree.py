"""The elements of a StructureDefinition as a tree: children, slices, and slices of slices.

The list is flat; `id` or `path` and `sliceName` say what belongs where (R4 elementdefinition.html).
"""

from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]

# Elements of one definition; the largest published snapshot has about 1,000.
MOST_ELEMENTS = 20_000


class ProfileFault(Exception):
    """A StructureDefinition that cannot be used, and why; names it by its URL."""

    def __init__(self, url: str, why: str) -> None:
        self.url = url
        self.why = why
        super().__init__(f"{url}: {why}")


class Branch:
    """An element with what is below it.

    element: its ElementDefinition; empty when the list says something only of what is below.
    name: the last part of its path, such as `value[x]`; of the root, the whole path.
    slice_name: None if it is no slice.
    children, slices: by name, in the order of the list; a slice of a slice is below that slice.
    """

    __slots__ = ("children", "element", "name", "slice_name", "slices")

    def __init__(self, name: str, slice_name: str | None = None, element: Json | None = None):
        self.name = name
        self.slice_name = slice_name
        self.element: Json = element if element is not None else {}
        self.children: dict[str, Branch] = {}
        self.slices: dict[str, Branch] = {}

    def child(self, name: str) -> "Branch":
        """The child of a name, made if there is none."""
        return self.children.setdefault(name, Branch(name)) if name else self

    def slice(self, name: str) -> "Branch":
        """The slice of a name, made if there is none; `a/b` is the slice `b` of the slice `a`."""
        owner = self
        for end in [at for at, char in enumerate(name) if char == "/"]:
            if name[:end] in owner.slices:
                owner = owner.slices[name[:end]]
        return owner.slices.setdefault(name, Branch(self.name, name))

    def copy(self) -> "Branch":
        """The same below copies of the elements, which may then be changed."""
        copied = Branch(self.name, self.slice_name, dict(self.element))
        copied.children = {name: child.copy() for name, child in self.children.items()}
        copied.slices = {name: slice_.copy() for name, slice_ in self.slices.items()}
        return copied

    def walk(self) -> Iterator["Branch"]:
        """It, its children and its slices, with all below them."""
        yield self
        for child in self.children.values():
            yield from child.walk()
        for slice_ in self.slices.values():
            yield from slice_.walk()


def tree(url: str, elements: Iterable[Json]) -> Branch:
    """The tree of a flat list. Raises ProfileFault when an element has no place in it."""
    root: Branch | None = None
    steps: list[tuple[str, str]] = []
    for count, element in enumerate(elements):
        if count >= MOST_ELEMENTS:
            raise ProfileFault(url, f"It has more than {MOST_ELEMENTS} elements.")
        steps = _steps(url, element, steps)
        if root is None:
            root = Branch(steps[0][0])
        if steps[0][0] != root.name:
            raise ProfileFault(url, f"The element {element.get('path')} is not below {root.name}.")
        branch = root
        for name, slice_name in steps[1:]:
            branch = branch.child(name)
            if slice_name:
                branch = branch.slice(slice_name)
        branch.element = element
    if root is None:
        raise ProfileFault(url, "It has no elements.")
    return root


def _steps(url: str, element: Json, last: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names and slices on the way from the root to an element."""
    path, id_ = element.get("path"), element.get("id")
    if not isinstance(path, str) or not path:
        raise ProfileFault(url, "An element has no path.")
    names = path.split(".")
    slice_name = element.get("sliceName") or ""
    if isinstance(id_, str):
        steps = [_step(segment) for segment in id_.split(".")]
        if [name for name, _ in steps] == names:
            return [*steps[:-1], (steps[-1][0], slice_name or steps[-1][1])]
    # Without an id, an element belongs to the last one above it.
    above = [
        known if known[0] == name else (name, "")
        for known, name in zip(_common(last, names), names[:-1], strict=False)
    ]
    above += [(name, "") for name in names[len(above) : -1]]
    return [*above, (names[-1], slice_name)]


def _common(last: list[tuple[str, str]], names: list[str]) -> list[tuple[str, str]]:
    found = []
    for step, name in zip(last, names, strict=False):
        if step[0] != name:
            break
        found.append(step)
    return found


def _step(segment: str) -> tuple[str, str]:
    name, _, slice_name = segment.partition(":")
    return name, slice_name


def flat(root: Branch) -> list[Json]:
    """The flat list of a tree, with ids and paths as they are there."""
    return list(_flat(root, root.name, root.name))


def _flat(branch: Branch, path: str, id_: str) -> Iterator[Json]:
    named = {"sliceName": branch.slice_name} if branch.slice_name else {}
    rest = {
        name: value
        for name, value in branch.element.items()
        if name not in ("id", "path", "sliceName")
    }
    yield {"id": id_, "path": path, **named, **rest}
    for child in branch.children.values():
        yield from _flat(child, f"{path}.{child.name}", f"{id_}.{child.name}")
    for slice_ in branch.slices.values():
        owner = id_.rpartition(":")[0] if branch.slice_name else id_
        yield from _flat(slice_, path, f"{owner}:{slice_.slice_name}")
