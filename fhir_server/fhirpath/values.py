"""Items of collections as System values, and what makes two of them the same (N1 section 6.1)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath import numbers, quantity
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.nodes import Node, children
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import FhirDate, FhirDateTime, FhirTime, compare
from fhir_server.fhirpath.typeinfo import TypeInfo

Items = Sequence[Any]
_FEW = 8

# Values of different kinds are never equal; Date and DateTime, Integer and Decimal are one kind.
_KIND: dict[type, str] = {
    bool: "boolean",
    int: "number",
    Decimal: "number",
    str: "string",
    FhirDate: "date",
    FhirDateTime: "date",
    FhirTime: "time",
    Quantity: "quantity",
    TypeInfo: "type",
    Node: "element",
}
_NAMES: dict[type, str] = {
    bool: "Boolean",
    int: "Integer",
    Decimal: "Decimal",
    str: "String",
    FhirDate: "Date",
    FhirDateTime: "DateTime",
    FhirTime: "Time",
    Quantity: "Quantity",
    TypeInfo: "TypeInfo",
}


def system(item: Any) -> Any:
    """The System value of an item.

    A primitive without a value gives None; an element that has no System value stays a node.
    """
    if item.__class__ is not Node:
        return item
    kind = item.kind
    if kind.convert is None:
        return item
    found = kind.convert(item.value)
    return item if found is None and not kind.primitive else found


def type_name(item: Any) -> str:
    """How a message calls the type of an item."""
    return item.type if item.__class__ is Node else "System." + _NAMES[item.__class__]


def system_name(item: Any) -> str:
    """The name of a System value's type, without namespace."""
    return _NAMES[item.__class__]


def _pair(left: Any, right: Any) -> tuple[str, Any, Any]:
    """Both values and their common kind; the kind is empty if they have none."""
    kinds = _KIND[left.__class__], _KIND[right.__class__]
    if kinds[0] == kinds[1]:
        return kinds[0], left, right
    if kinds == ("number", "quantity"):
        return "quantity", Quantity(Decimal(left)), right
    if kinds == ("quantity", "number"):
        return "quantity", left, Quantity(Decimal(right))
    return "", left, right


def equal(left: Any, right: Any) -> bool | None:
    """Whether two items are equal; None if precision, units or a missing value leave it open."""
    left, right = system(left), system(right)
    if left is None or right is None:
        return None
    kind, left, right = _pair(left, right)
    match kind:
        case "":
            return False
        case "date" | "time":
            order = compare(left, right)
            return None if order is None else order == 0
        case "quantity":
            return quantity.equal(left, right)
        case "element":
            return bool(_frozen(left.value) == _frozen(right.value))
    return bool(left == right)


def collections_equal(left: Items, right: Items) -> bool | None:
    """`=`: in this order, None if a side is empty (N1 section 6.1.1)."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    result: bool | None = True
    for ours, theirs in zip(left, right, strict=True):
        same = equal(ours, theirs)
        if same is False:
            return False
        result = result and same
    return result


def equivalent(left: Any, right: Any, environment: Environment) -> bool:
    """Whether two items are equivalent: same kind, to their shared precision (N1 6.1.2)."""
    environment.charge()
    left, right = system(left), system(right)
    if left is None or right is None:
        return left is right
    kind, left, right = _pair(left, right)
    match kind:
        case "":
            return False
        case "string":
            return _folded(left) == _folded(right)
        case "number":
            return numbers.equivalent(left, right)
        case "date" | "time":
            return compare(left, right) == 0
        case "quantity":
            return quantity.equivalent(left, right)
        case "element":
            return _elements_equivalent(left, right, environment)
    return bool(left == right)


def collections_equivalent(left: Items, right: Items, environment: Environment) -> bool:
    """`~`: in any order; two empty collections are equivalent (N1 section 6.1.2)."""
    if len(left) != len(right):
        return False
    unmatched = list(right)
    for ours in left:
        for index, theirs in enumerate(unmatched):
            if equivalent(ours, theirs, environment):
                del unmatched[index]
                break
        else:
            return False
    return True


def _elements_equivalent(left: Node, right: Node, environment: Environment) -> bool:
    ours, theirs = _by_name(left), _by_name(right)
    return ours.keys() == theirs.keys() and all(
        collections_equivalent(nodes, theirs[name], environment) for name, nodes in ours.items()
    )


def _by_name(node: Node) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for element in children(node):
        assert element.child is not None
        found.setdefault(element.child.name, []).append(element)
    return found


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def identity(item: Any) -> Any:
    """What two items share exactly if `=` says true; can be a key."""
    if item.__class__ is Node and item.kind.text and item.value.__class__ is str:
        return ("string", item.value)
    value = system(item)
    if value is None:
        return ("none", _frozen(item.extra))
    kind = _KIND[value.__class__]
    if kind == "quantity":
        return quantity.identity(value)
    if kind == "element":
        return ("element", _frozen(value.value))
    if kind == "date":
        return ("date", value.in_utc(), value.offset is None)
    return (kind, value)


def distinct(items: Sequence[Any], environment: Environment) -> list[Any]:
    """The items without those that equal an earlier one."""
    if len(items) <= _FEW:
        return _few_distinct(items, environment)
    known = set()
    found = []
    for item in items:
        environment.charge()
        key = identity(item)
        if key not in known:
            known.add(key)
            found.append(item)
    return found


def _few_distinct(items: Sequence[Any], environment: Environment) -> list[Any]:
    """The same, without making keys of whole elements, which mostly differ at once."""
    environment.charge(len(items))
    found: list[Any] = []
    for item in items:
        if not any(_same(item, other) for other in found):
            found.append(item)
    return found


def _same(left: Any, right: Any) -> bool:
    if left.__class__ is Node and right.__class__ is Node and left.value != right.value:
        if left.kind.convert is None or right.kind.convert is None:
            return False
        if left.kind.text and right.kind.text:
            return False
    return bool(identity(left) == identity(right))


def _frozen(value: Any) -> Any:
    """A hashable equivalent of JSON; true is not 1."""
    if value.__class__ is dict:
        return frozenset((key, _frozen(item)) for key, item in value.items())
    if value.__class__ is list:
        return tuple([_frozen(item) for item in value])
    return ("boolean", value) if value.__class__ is bool else value
