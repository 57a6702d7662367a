"""Profiles, tags and security labels as sets (R4 resource.html#Meta)."""

from typing import Any

LABELS = ("profile", "security", "tag")


def identity(label: Any) -> tuple[str, str]:
    """What makes two labels the same: system and code of a Coding, the whole URL of a profile."""
    if isinstance(label, str):
        return "", label
    return label.get("system", ""), label.get("code", "")


def with_labels(meta: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """A Meta with the labels of another one that it does not have."""
    changed = dict(meta)
    for name in LABELS:
        present = {identity(label): label for label in meta.get(name, ())}
        for label in added.get(name, ()):
            present.setdefault(identity(label), label)
        if present:
            changed[name] = list(present.values())
    return changed


def without_labels(meta: dict[str, Any], removed: dict[str, Any]) -> dict[str, Any]:
    """A Meta without the labels of another one."""
    changed = dict(meta)
    for name in LABELS:
        gone = {identity(label) for label in removed.get(name, ())}
        kept = [label for label in meta.get(name, ()) if identity(label) not in gone]
        if kept:
            changed[name] = kept
        else:
            changed.pop(name, None)
    return changed
