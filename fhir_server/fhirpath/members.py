"""Steps to the elements of a value: `name` and `source.name` (N1 section 5)."""

from collections.abc import Iterator, Sequence
from typing import Any

from fhir_server.fhirpath.code import Code
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.model import node_type
from fhir_server.fhirpath.nodes import Node, elements, has_elements
from fhir_server.fhirpath.typeinfo import TypeInfo


def member(name: str) -> Code:
    """An element of `$this`, or `$this` itself if `name` is its type."""
    if name[:1].isupper() and node_type(name) is not None:
        return _type_member(name)

    def items(this: Any, _env: Environment) -> Sequence[Any]:
        if this.__class__ is not Node:
            return _of_system(this, name)
        child = this.kind.children[name]
        return () if child is None else elements(this, child)

    def present(this: Any, _env: Environment) -> bool:
        if this.__class__ is not Node:
            return bool(_of_system(this, name))
        child = this.kind.children[name]
        return child is not None and has_elements(this, child)

    return Code(items, present=present)


def member_of(source: Code, name: str) -> Code:
    """An element of every item of `source`."""
    from_items, from_iterate = source.items, source.iterate

    def items(this: Any, env: Environment) -> Sequence[Any]:
        parents = from_items(this, env)
        if len(parents) == 1:
            parent = parents[0]
            if parent.__class__ is Node:
                child = parent.kind.children[name]
                return () if child is None else elements(parent, child)
        found: list[Any] = []
        for parent in parents:
            found += of(parent, name)
        env.charge(len(found) + len(parents))
        return found

    def iterate(this: Any, env: Environment) -> Iterator[Any]:
        for parent in from_iterate(this, env):
            env.charge()
            yield from of(parent, name)

    def present(this: Any, env: Environment) -> bool:
        for parent in from_items(this, env):
            if parent.__class__ is Node:
                child = parent.kind.children[name]
                if child is not None and has_elements(parent, child):
                    return True
            elif _of_system(parent, name):
                return True
        return False

    return Code(items, iterate=iterate, present=present)


def of(item: Any, name: str) -> Sequence[Any]:
    """The element `name` of one item."""
    if item.__class__ is not Node:
        return _of_system(item, name)
    child = item.kind.children[name]
    return () if child is None else elements(item, child)


def _type_member(name: str) -> Code:
    def one(this: Any, _env: Environment) -> Any:
        return this if this.__class__ is Node and name in this.kind.bases else None

    def items(this: Any, _env: Environment) -> Sequence[Any]:
        return (this,) if this.__class__ is Node and name in this.kind.bases else ()

    return Code(items, one=one)


def _of_system(item: Any, name: str) -> Sequence[Any]:
    """System values have no elements, except for what `type()` gives."""
    if item.__class__ is TypeInfo and name in ("namespace", "name"):
        return (getattr(item, name),)
    return ()
