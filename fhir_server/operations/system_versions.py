"""Versions of code systems that a client wants a value set to be expanded with."""

from collections.abc import Sequence
from typing import Any

from fhir_server.outcome import Invalid, Issue


def with_versions(
    definition: dict[str, Any],
    default: Sequence[str],
    expected: Sequence[str],
    forced: Sequence[str],
) -> dict[str, Any]:
    """The ValueSet with the versions it is to be expanded with.

    default: for what names no version (`system-version`). expected: what else must not be named
    (`check-system-version`). forced: whatever is named (`force-system-version`).
    Raises `Invalid` where a version differs from the one expected, and where value sets are
    imported, which the versions would have to reach as well.
    """
    if not (default or expected or forced):
        return definition
    defaults, checks, forces = map(_by_system, (default, expected, forced))
    compose = dict(definition.get("compose") or {})
    for name in ("include", "exclude"):
        if name in compose:
            compose[name] = [_changed(part, defaults, checks, forces) for part in compose[name]]
    return definition | {"compose": compose}


def _by_system(canonicals: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for canonical in canonicals:
        system, bar, version = canonical.rpartition("|")
        if not bar or not version:
            text = f"{canonical!r} names no version; expected system|version"
            raise Invalid(Issue("value", text))
        if found.setdefault(system, version) != version:
            text = f"Two versions of {system}: {found[system]} and {version}"
            raise Invalid(Issue("invalid", text))
    return found


def _changed(
    part: dict[str, Any], defaults: dict[str, str], checks: dict[str, str], forces: dict[str, str]
) -> dict[str, Any]:
    if part.get("valueSet"):
        text = f"Versions cannot be chosen where value sets are imported: {part['valueSet'][0]}"
        raise Invalid(Issue("not-supported", text), status=422)
    system, named = part.get("system", ""), part.get("version")
    expected = checks.get(system)
    if named and expected and named != expected:
        text = f"The value set names version {named} of {system}, not {expected}"
        raise Invalid(Issue("conflict", text), status=422)
    version = forces.get(system) or named or expected or defaults.get(system)
    return part | {"version": version} if version else part
