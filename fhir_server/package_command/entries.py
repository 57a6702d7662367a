"""The changes that store and remove the resources of packages, as parts of batches."""

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from fhir_server.fhir_json import encode
from fhir_server.load.parts import BATCH_BYTES, BATCH_ENTRIES, Entry, Part
from fhir_server.package_command.tags import tagged, tags
from fhir_server.spec import definitions

Json = dict[str, Any]
# Type, URL and version: the same definition wherever it comes from.
Identity = tuple[str, str, str]

_SPECIAL = re.compile(r"[\\,|$]")


def identity(resource: Json) -> Identity | None:
    """What makes a resource the same definition as another, None if only its id does."""
    type_, url = resource["resourceType"], resource.get("url")
    if not isinstance(url, str) or type_ not in _with_url():
        return None
    return type_, url, str(resource.get("version", ""))


def stored(position: int, resource: Json, packages: set[str]) -> Entry | None:
    """The update that stores a resource as one of these packages; None if it has no identity.

    A definition keeps the id it has on the server, or gets a new one: two versions of a package
    use the same ids for different definitions.
    """
    known = identity(resource)
    resource = tagged(resource, packages)
    if known is None:
        if not isinstance(resource.get("id"), str):
            return None
        return _entry(position, "PUT", _place(resource), resource)
    type_, url, version = known
    condition = {"url": _escaped(url)}
    condition |= {"version": _escaped(version)} if version else {"version:missing": "true"}
    resource.pop("id", None)
    return _entry(position, "PUT", f"{type_}?{urlencode(condition)}", resource)


def removed(position: int, resource: Json, package: str) -> Entry:
    """The change that takes a stored resource out of a package: gone, unless another has it."""
    others = tags(resource) - {package}
    if others:
        return _entry(position, "PUT", _place(resource), tagged(resource, others))
    return _entry(position, "DELETE", _place(resource))


def batches(entries: Iterable[Entry]) -> Iterator[Part]:
    """The entries in batches of bounded size."""
    batch: list[Entry] = []
    index = size = 0
    for entry in entries:
        if batch and (len(batch) >= BATCH_ENTRIES or size + len(entry.content) > BATCH_BYTES):
            yield _part(index, batch)
            batch, index, size = [], index + 1, 0
        batch.append(entry)
        size += len(entry.content)
    if batch:
        yield _part(index, batch)


def _part(index: int, batch: list[Entry]) -> Part:
    return Part(index, "POST", "", tuple(batch), read=sum(len(each.content) for each in batch))


@functools.cache
def _with_url() -> frozenset[str]:
    """The types that can be found by `url` and `version`."""
    found: dict[str, frozenset[str]] = {
        code: frozenset(
            type_
            for each in definitions().search_parameters
            if each.code == code
            for type_ in each.base
        )
        for code in ("url", "version")
    }
    return found["url"] & found["version"]


def _entry(position: int, method: str, url: str, resource: Json | None = None) -> Entry:
    written: Json = {"request": {"method": method, "url": url}}
    if resource is not None:
        written["resource"] = resource
    return Entry(position, method, repeatable=True, content=encode(written))


def _place(resource: Json) -> str:
    return f"{resource['resourceType']}/{quote(resource['id'], safe='')}"


def _escaped(value: str) -> str:
    """A value of a search parameter (R4 search.html#escaping)."""
    return _SPECIAL.sub(r"\\\g<0>", value)
