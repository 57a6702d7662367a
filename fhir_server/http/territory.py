"""Territories in paths: below `/t/<tenant>` everything is as it is at the root, for one tenant."""

import re
from collections.abc import MutableMapping
from typing import Any

_PREFIX = re.compile(r"(/t/([a-z][a-z0-9_]{0,39}))(?=/)")
# What knows of territories; pages about the whole server are at the root alone.
_BELOW = re.compile(r"/(fhir|dicom-web|dicom)(?=/|$)")


def entered(scope: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A request as the parts below the prefix see it; the same one if it has no such prefix.

    `root_path` is the prefix then, as ASGI has it for what is mounted below a path.
    """
    match = _PREFIX.match(scope["path"])
    if match is None or not _BELOW.match(scope["path"], match.end()):
        return scope
    prefix, tenant = match.groups()
    raw = scope.get("raw_path")
    if raw is not None and not raw.startswith(prefix.encode()):
        return scope
    return {**scope, "root_path": prefix, "tenant": tenant}


def base_url(configured: str, path: str, root_path: str) -> str:
    """The FHIR base URL of a territory, from the one that is configured. path: at its end."""
    return f"{configured.removesuffix(path)}{root_path}{path}" if root_path else configured
