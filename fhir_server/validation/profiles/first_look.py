"""A first look at a resource: does it show that no rule of R4 can be broken?

It goes through plain JSON and asks only the shortcuts of guards.py and known_invariants.py. Most
resources need no more; what a look does not settle is left to the walk of base_rules.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fhir_server.validation.profiles.guards import Certain

# The types of contained resources by id, in the resource that is being looked at.
Inner = Mapping[str, str]
# Whether it is certain of what a property holds that no rule is broken in it.
Look = Callable[[Any, Inner], bool]
_NOTHING_INSIDE: Inner = {}


class TypeLook:
    """The look at values of one type, filled when the type's rules are compiled."""

    __slots__ = ("guards", "never", "steps")

    def __init__(self) -> None:
        self.guards: tuple[Look, ...] = ()
        self.steps: dict[str, Look] = {}
        # Where some rule has no shortcut.
        self.never = False

    def rely_on(self, looks: Iterable[Look | None]) -> None:
        """Take over the looks of a type's rules; None is a rule without one."""
        given = tuple(looks)
        self.never = None in given
        self.guards = tuple(each for each in given if each is not None and each is not fine)

    def settled(self, value: dict[str, Any], inner: Inner) -> bool:
        """Whether it is certain that a value, and everything in it, breaks no rule."""
        if self.never:
            return False
        for certain in self.guards:
            if not certain(value, inner):
                return False
        get = self.steps.get
        for key, item in value.items():
            step = get(key)
            if step is not None and not step(item, inner):
                return False
        return True


def objects(look: TypeLook, guards: Iterable[Look]) -> Look:
    """The look at an element of a complex type. `guards`: of the rules of the element itself."""
    own = tuple(guards)

    def one(item: Any, inner: Inner) -> bool:
        if item.__class__ is not dict:
            return True
        for certain in own:
            if not certain(item, inner):
                return False
        return look.settled(item, inner)

    def step(item: Any, inner: Inner) -> bool:
        if item.__class__ is list:
            # A loop instead of all(): a third faster, on the path of every write.
            for each in item:  # noqa: SIM110
                if not one(each, inner):
                    return False
            return True
        return one(item, inner)

    return step


def beside(look: TypeLook) -> Look:
    """The look at `_name` beside a primitive, whose extensions are of `look`'s type."""

    def one(item: Any, inner: Inner) -> bool:
        extensions = item.get("extension") if item.__class__ is dict else None
        if extensions.__class__ is not list:
            return True
        return all(each.__class__ is dict and look.settled(each, inner) for each in extensions)

    def step(item: Any, inner: Inner) -> bool:
        if item.__class__ is list:
            return all(one(each, inner) for each in item)
        return one(item, inner)

    return step


def resources(of_type: Callable[[Any], TypeLook | None]) -> Look:
    """The look at contained resources, entries and parameters."""

    def one(item: Any, inner: Inner) -> bool:
        look = of_type(item.get("resourceType")) if item.__class__ is dict else None
        # A contained resource shares the contained ones of its container.
        return look is not None and look.settled(item, inner_types(item) or inner)

    def step(item: Any, inner: Inner) -> bool:
        if item.__class__ is list:
            return all(one(each, inner) for each in item)
        return one(item, inner)

    return step


def inner_types(resource: Mapping[str, Any]) -> Inner:
    """The types of the resources that a resource contains, by id."""
    contained = resource.get("contained")
    if contained.__class__ is not list:
        return _NOTHING_INSIDE
    return {
        id_: name
        for each in contained or ()
        if each.__class__ is dict
        and (id_ := each.get("id")).__class__ is str
        and (name := each.get("resourceType")).__class__ is str
    }


def reference(targets: frozenset[str]) -> Look:
    """The look at a Reference to one of `targets`.

    A relative one has been looked at by the structure check; what `urn:` means is only known in a
    Bundle, which no look settles.
    """

    def certain(value: Any, inner: Inner) -> bool:
        if "type" in value:
            return False
        text = value.get("reference")
        if text.__class__ is not str:
            return True
        if text[:1] == "#":
            return inner.get(text[1:]) in targets
        return bool(text[:1].isupper() or text[:4] == "urn:")

    return certain


def texts(takes: Callable[[str], bool]) -> Look:
    """The look at a code, or codes, of which `takes` knows the right ones."""

    def step(item: Any, _inner: Inner) -> bool:
        if item.__class__ is list:
            return all(each is None or (each.__class__ is str and takes(each)) for each in item)
        return item.__class__ is str and takes(item)

    return step


def plain(certain: Certain) -> Look:
    """A shortcut that does not depend on what the resource contains."""
    return lambda value, _inner: certain(value)


def all_of(looks: Iterable[Look]) -> Look:
    """Several looks at one property."""
    every = tuple(looks)
    if len(every) == 1:
        return every[0]
    return lambda item, inner: all(look(item, inner) for look in every)


def fine(_item: Any, _inner: Inner) -> bool:
    """The look at what the structure check has looked at."""
    return True


def never(_item: Any, _inner: Inner) -> bool:
    """No look settles this."""
    return False
