"""What a part of an expression compiles to: closures that give its items in several ways."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fhir_server.fhirpath.chains import Chain
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.nodes import Node

# The first argument is `$this`; None where there is nothing, as in `{}.iif(...)`.
Items = Callable[[Any, Environment], Sequence[Any]]
Iterate = Callable[[Any, Environment], Iterator[Any]]
One = Callable[[Any, Environment], Any]
Present = Callable[[Any, Environment], bool]


class Code:
    """A compiled part of an expression.

    items: all items.
    iterate: the items one by one, so that who needs the first need not make the rest.
    present: whether there is any item.
    one: the only item or None, if there can never be more than one; otherwise None.
    chain: its elements as a chain, if it is nothing else.
    """

    __slots__ = ("chain", "items", "iterate", "one", "present")

    def __init__(
        self,
        items: Items,
        *,
        one: One | None = None,
        iterate: Iterate | None = None,
        present: Present | None = None,
        chain: Chain | None = None,
    ) -> None:
        self.items = items
        self.one = one
        self.chain = chain
        self.iterate: Iterate = iterate or (lambda this, env: iter(items(this, env)))
        self.present: Present = present or (lambda this, env: bool(items(this, env)))


def single(one: One) -> Code:
    """Code that has at most one item."""

    def items(this: Any, env: Environment) -> Sequence[Any]:
        value = one(this, env)
        return () if value is None else (value,)

    return Code(items, one=one, present=lambda this, env: one(this, env) is not None)


def constant(value: Any) -> Code:
    """Code that always has this one item."""
    items = (value,)
    return Code(lambda _this, _env: items, one=lambda _this, _env: value)


def lazy(iterate: Iterate) -> Code:
    """Code whose items are made one by one."""

    def present(this: Any, env: Environment) -> bool:
        return next(iterate(this, env), None) is not None

    return Code(lambda this, env: list(iterate(this, env)), iterate=iterate, present=present)


def _focus_items(this: Any, _env: Environment) -> Sequence[Any]:
    return () if this is None else (this,)


FOCUS = Code(_focus_items, one=lambda this, _env: this, present=lambda this, _env: this is not None)
EMPTY = Code(lambda _this, _env: (), one=lambda _this, _env: None)


def boolean(item: Any) -> bool | None:
    """A single item as a condition: what is no boolean is true (N1 section 4.5)."""
    if item.__class__ is Node:
        if item.kind.name == "boolean":
            return item.value if item.value.__class__ is bool else None
        return True
    return item if item.__class__ is bool else item is not None or None
