"""Steps to the elements of a value: `name` and `source.name` (N1 section 5)."""

from collections.abc import Iterator, Sequence
from typing import Any

from fhir_server.fhirpath.chains import Chain, chain_from
from fhir_server.fhirpath.code import Code, Items, Present
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.model import node_type
from fhir_server.fhirpath.nodes import Node, elements
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

    chain = chain_from(name)
    return Code(items, present=_present(chain, items), chain=chain)


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

    if source.chain is None:
        return Code(items, iterate=iterate)
    chain = source.chain.then(name)
    return Code(items, iterate=iterate, present=_present(chain, items), chain=chain)


def _present(chain: Chain, items: Items) -> Present:
    def present(this: Any, env: Environment) -> bool:
        plan = chain.plan(this.kind) if this.__class__ is Node else None
        if plan is None:
            return bool(items(this, env))
        for value in plan.walk(this.value):
            if value is not None:
                return True
        return not plan.whole and bool(items(this, env))

    return present


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

    return Code(items, one=one, chain=chain_from(name))


def _of_system(item: Any, name: str) -> Sequence[Any]:
    """System values have no elements, except for what `type()` gives."""
    if item.__class__ is TypeInfo and name in ("namespace", "name"):
        return (getattr(item, name),)
    return ()
