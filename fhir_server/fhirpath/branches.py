"""What an expression compiles to: branches, each with one static type and one way to its values."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.spec import ElementDefinition

# Takes the input and the resource it stands in. Gives the value or None; for a branch that is
# `many` a list, which may hold None, or None.
Evaluate = Callable[[Any, Any], Any]
Truth = Callable[[Any, Any], bool | None]


def itself(value: Any, _resource: Any) -> Any:
    """The input."""
    return value


@dataclass(frozen=True, slots=True)
class Branch:
    """Values of one type that an expression yields.

    type: name of the FHIR type or backbone element of every value.
    many: whether `evaluate` gives a list.
    head: the property of the input that all values lie in; None if the input itself is needed.
    evaluate: from the value of `head`, or from the input without one.
    path: identity; branches of one type with equal head and path give equal values.
    element: the definition the values come from; None for literals and results of operators.
    resolved: the values are references that stand for the resources they point to.
    sibling: gives the branch of `_name`, where extensions of primitive values are kept.
    """

    type: str
    many: bool = False
    head: str | None = None
    evaluate: Evaluate = itself
    path: tuple[Hashable, ...] = ()
    element: ElementDefinition | None = None
    resolved: bool = False
    sibling: "Callable[[], Branch] | None" = None

    @property
    def is_input(self) -> bool:
        """Whether the value is the input itself."""
        return self.head is None and self.evaluate is itself

    def property(self, key: str, many: bool, type_name: str) -> "Branch":
        """The branch of a property of these values."""
        if self.is_input:
            return Branch(type_name, many, key)
        evaluate = _from_many(self.evaluate, key, many) if self.many else _get(self.evaluate, key)
        return replace(
            self,
            type=type_name,
            many=self.many or many,
            evaluate=evaluate,
            path=(*self.path, key),
            resolved=False,
        )

    def filtered(self, criteria: Truth, identity: Hashable) -> "Branch":
        """The values for which `criteria` is true."""
        evaluate = self.evaluate

        def matching(value: Any, resource: Any) -> Any:
            found = evaluate(value, resource)
            return found if found is not None and criteria(found, resource) is True else None

        def all_matching(value: Any, resource: Any) -> Any:
            return [
                item
                for item in evaluate(value, resource) or ()
                if item is not None and criteria(item, resource) is True
            ]

        chosen = all_matching if self.many else matching
        return replace(self, evaluate=chosen, path=(*self.path, identity), sibling=None)

    def at(self, index: int) -> "Branch":
        """The value at `index`, counted from 0."""
        evaluate = self.evaluate

        def item(value: Any, resource: Any) -> Any:
            items = [item for item in evaluate(value, resource) or () if item is not None]
            return items[index] if index < len(items) else None

        def only(value: Any, resource: Any) -> Any:
            return evaluate(value, resource) if index == 0 else None

        chosen = item if self.many else only
        return replace(self, many=False, evaluate=chosen, path=(*self.path, index), sibling=None)

    def reader(self) -> Evaluate:
        """Like `evaluate`, but always from the input."""
        return self.evaluate if self.head is None else _after(self.head, self.evaluate)

    def values(self) -> Callable[[Any, Any], list[Any]]:
        """All values as a list without None, from the input."""
        read = self.reader()

        def listed(value: Any, resource: Any) -> list[Any]:
            found = read(value, resource)
            return [] if found is None else [found]

        def present(value: Any, resource: Any) -> list[Any]:
            return [item for item in read(value, resource) or () if item is not None]

        return present if self.many else listed


def computed(type_name: str, evaluate: Evaluate, identity: Hashable) -> Branch:
    """The branch of a literal or of an operator's result, at most one value."""
    return Branch(type_name, evaluate=evaluate, path=(identity,))


def _after(head: str, evaluate: Evaluate) -> Evaluate:
    if evaluate is itself:
        return lambda value, _resource: value.get(head)

    def read(value: Any, resource: Any) -> Any:
        found = value.get(head)
        return None if found is None else evaluate(found, resource)

    return read


def _get(evaluate: Evaluate, key: str) -> Evaluate:
    return _after(key, itself) if evaluate is itself else _get_after(evaluate, key)


def _get_after(evaluate: Evaluate, key: str) -> Evaluate:
    def read(value: Any, resource: Any) -> Any:
        found = evaluate(value, resource)
        return None if found is None else found.get(key)

    return read


def _from_many(evaluate: Evaluate, key: str, many: bool) -> Evaluate:
    def flattened(value: Any, resource: Any) -> Any:
        return [
            found
            for item in evaluate(value, resource) or ()
            if item is not None
            for found in item.get(key) or ()
        ]

    def collected(value: Any, resource: Any) -> Any:
        return [
            found
            for item in evaluate(value, resource) or ()
            if item is not None and (found := item.get(key)) is not None
        ]

    return flattened if many else collected
