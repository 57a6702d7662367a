"""Finds what a reference points to (R4 references.html, bundle.html#references)."""

import re
from typing import Any

from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.nodes import Node, elements, root_node
from fhir_server.fhirpath.variables import containing

_RELATIVE = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?$")


def resolve(item: Any, env: Environment) -> Node | None:
    """The resource that a Reference, uri, canonical or string points to; None if nobody knows it.

    Looks among the contained resources, then in the Bundles around it, then asks the caller.
    """
    text = _text(item)
    if not text:
        return None
    resource = item.resource() if item.__class__ is Node else _context(env)
    if text.startswith("#"):
        return None if resource is None else _contained(containing(resource), text[1:])
    if resource is not None:
        found = _bundled(containing(resource), text, env)
        if found is not None:
            return found
    if env.resolver is None:
        return None
    given = env.resolver(text)
    return None if given is None else root_node(given)


def _text(item: Any) -> str | None:
    if item.__class__ is str:
        return str(item)
    if item.__class__ is not Node:
        return None
    value = item.value.get("reference") if item.kind.name == "Reference" else item.value
    return value if value.__class__ is str else None


def _context(env: Environment) -> Node | None:
    return env.context.resource() if env.context.__class__ is Node else None


def _contained(container: Node, identifier: str) -> Node | None:
    if not identifier:
        return container
    child = container.kind.children["contained"]
    nodes = elements(container, child) if child is not None else ()
    return next((node for node in nodes if node.value.get("id") == identifier), None)


def _bundled(resource: Node, text: str, env: Environment) -> Node | None:
    """The entry with this fullUrl in the innermost Bundle that has one."""
    entry = resource.parent
    while entry is not None:
        if entry.kind.name == "Bundle.entry" and entry.parent is not None:
            entries = env.entries(entry.parent, _entries)
            found = entries.get(_absolute(text, entry.value.get("fullUrl")))
            if found is not None:
                return found
        entry = entry.parent
    if resource.kind.name == "Bundle":
        return env.entries(resource, _entries).get(text)
    return None


def _absolute(text: str, full_url: Any) -> str:
    """A relative reference as a URL under the same base as the entry it stands in."""
    if not isinstance(full_url, str) or "://" not in full_url or not _RELATIVE.match(text):
        return text
    match = _RELATIVE.search(full_url)
    return full_url[: match.start()] + text if match else text


def _entries(bundle: Node) -> dict[str, Node]:
    found: dict[str, Node] = {}
    children = bundle.kind.children["entry"]
    for entry in elements(bundle, children) if children is not None else ():
        url = entry.value.get("fullUrl")
        child = entry.kind.children["resource"]
        resources = elements(entry, child) if child is not None else ()
        if isinstance(url, str) and resources:
            found.setdefault(url, resources[0])
    return found
