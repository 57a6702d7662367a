"""Where the reader stands, and how it puts what it finds into objects as JSON has them."""

from typing import Any

from fhir_server.xml.plan import Child, Children, Kind

# What may stand in an element whose content is passed over.
SKIPPED: Children = {}


class Frame:
    """An element that is open: what may stand in it, and where that goes."""

    __slots__ = ("child", "children", "rank", "target")

    def __init__(self) -> None:
        self.child: Child | None = None
        self.children: Children = SKIPPED
        self.rank = -1
        self.target: dict[str, Any] = {}


def place_item(child: Child, target: dict[str, Any], value: Any) -> None:
    """A further value of a repeating primitive, its sibling array kept as long (R4 json.html)."""
    values = target.get(child.name)
    siblings = target.get(child.sibling)
    if values is None:
        target[child.name] = [*[None] * len(siblings or ()), value]
    else:
        values.append(value)
    if siblings is not None:
        siblings.append(None)


def place_nothing(child: Child, target: dict[str, Any]) -> None:
    """A primitive without a value, which has to have an extension."""
    if not child.repeats:
        target[child.sibling] = {}
        return
    values = target.get(child.name)
    target.setdefault(child.sibling, [None] * len(values or ())).append({})
    if values is not None:
        values.append(None)


def beside(child: Child, target: dict[str, Any]) -> dict[str, Any]:
    """The object that holds id and extensions of the primitive placed last."""
    if not child.repeats:
        single: dict[str, Any] = target.setdefault(child.sibling, {})
        return single
    siblings = target.get(child.sibling)
    if siblings is None:
        siblings = target[child.sibling] = [None] * len(target[child.name])
    if siblings[-1] is None:
        siblings[-1] = {}
    last: dict[str, Any] = siblings[-1]
    return last


def place_resource(holder: Child, target: dict[str, Any], resource: dict[str, Any]) -> None:
    if holder.repeats:
        target.setdefault(holder.name, []).append(resource)
    else:
        target[holder.name] = resource


def index(child: Child, above: Frame) -> int:
    target = above.target
    if child.kind is Kind.BESIDE and above.child is not None:
        target = beside(above.child, above.target)
    items = target.get(child.name) or target.get(child.sibling) or [None]
    return len(items) - 1
