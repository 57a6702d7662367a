"""What a differential changes of one element (R4 elementdefinition.html#interpretation)."""

from typing import Any

from fhir_server.validation.profiles.tree import Json, ProfileFault

_KEPT = frozenset({"id", "path"})
_ADDED = frozenset({"constraint", "condition", "alias", "mapping", "code"})
_VALUES = ("fixed", "pattern", "minValue", "maxValue", "defaultValue")


def merged(base: Json, change: Json, url: str) -> Json:
    """An element of the base after a change.

    Raises ProfileFault for one that allows what the base forbids.
    """
    made = dict(base)
    for name, value in change.items():
        if name in _KEPT:
            continue
        if name in _ADDED:
            made[name] = _united(made.get(name) or [], value)
            continue
        if name == "binding":
            value = (made.get(name) or {}) | value
        for stem in _VALUES:
            if name.startswith(stem):
                made = {key: each for key, each in made.items() if not key.startswith(stem)}
        made[name] = value
    if "constraint" in change:
        made["constraint"] = [_sourced(each, url) for each in made["constraint"]]
    _check_cardinality(base, made, url)
    return made


def _united(base: list[Any], added: list[Any]) -> list[Any]:
    keys = [each["key"] for each in added if isinstance(each, dict) and "key" in each]
    kept = [
        each for each in base if not (isinstance(each, dict) and each.get("key") in keys and keys)
    ]
    return kept + [each for each in added if each not in kept]


def _sourced(constraint: Json, url: str) -> Json:
    return constraint if "source" in constraint else constraint | {"source": url}


def _check_cardinality(base: Json, made: Json, url: str) -> None:
    least, most = base.get("max"), made.get("max")
    if least in (None, "*") or most is None:
        return
    if most == "*" or int(most) > int(least):
        why = f"{made.get('path') or base.get('path')} may be {most} times, in its base {least}."
        raise ProfileFault(url, why)
