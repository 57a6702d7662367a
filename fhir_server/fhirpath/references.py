"""What a reference's text says about its target, without reading it (R4 references.html)."""

import re
from typing import Any

_TAIL = re.compile(
    r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?$"
)


class InContainer(dict[str, Any]):
    """A contained resource, read where it stands: there `#id` means another contained one."""

    __slots__ = ("container",)

    def __init__(self, resource: dict[str, Any], container: Any) -> None:
        super().__init__(resource)
        self.container = container


def target_type(reference: Any, resource: Any) -> str | None:
    """The type of the resource that `reference` points to, or None if its text does not say.

    reference: a Reference, or the text of a uri or canonical.
    resource: the resource it stands in, whose `contained` holds the targets of `#id`.
    """
    if isinstance(reference, str):
        return _type_of_text(reference, resource)
    text = reference.get("reference")
    named = _type_of_text(text, resource) if isinstance(text, str) else None
    stated = reference.get("type")
    return named or (stated if isinstance(stated, str) else None)


def _type_of_text(text: str, resource: Any) -> str | None:
    if text.startswith("#"):
        return _contained_type(text[1:], resource)
    match = _TAIL.search(text)
    return match.group(1) if match else None


def _contained_type(identifier: str, resource: Any) -> str | None:
    if isinstance(resource, InContainer):
        resource = resource.container
    if not identifier:
        return _name(resource)
    for contained in resource.get("contained") or ():
        if contained.get("id") == identifier:
            return _name(contained)
    return None


def _name(resource: Any) -> str | None:
    name = resource.get("resourceType")
    return name if isinstance(name, str) else None
