"""The codes of required bindings."""

from collections.abc import Iterable, Iterator

from fhir_server.spec.build.package import Json, Package

Codes = dict[str, set[str]]


def value_sets(package: Package, types: Iterable[Json]) -> list[Json]:
    """The value sets of the types' required bindings whose codes can be enumerated."""
    expansion = _Expansion(package)
    built: list[Json] = []
    for url in sorted(set(_required(types))):
        codes = expansion.of(url)
        if codes is not None:
            systems = {system: sorted(codes[system]) for system in sorted(codes)}
            built.append({"url": url, "systems": systems})
    return built


def _required(types: Iterable[Json]) -> Iterator[str]:
    for type_ in types:
        for element in type_.get("elements", []):
            binding = element.get("binding", {})
            if binding.get("strength") == "required":
                yield binding["value_set"]


class _Expansion:
    def __init__(self, package: Package) -> None:
        self._value_sets = {each["url"]: each for each in package.of("ValueSet")}
        self._code_systems = {
            each["url"]: each for each in package.of("CodeSystem") if each["content"] == "complete"
        }

    def of(self, url: str) -> Codes | None:
        """The codes by system, or None when a part of them is not in the package."""
        value_set = self._value_sets.get(url.partition("|")[0])
        if value_set is None:
            return None
        compose = value_set["compose"]
        included = [self._include(include) for include in compose["include"]]
        excluded = [self._include(exclude) for exclude in compose.get("exclude", [])]
        codes: Codes = {}
        for part in included:
            if part is None:
                return None
            for system, members in part.items():
                codes.setdefault(system, set()).update(members)
        for part in excluded:
            if part is None:
                return None
            for system, members in part.items():
                codes.get(system, set()).difference_update(members)
        return codes

    def _include(self, include: Json) -> Codes | None:
        parts: list[Codes | None] = [self.of(url) for url in include.get("valueSet", [])]
        if "system" in include:
            members = self._members(include)
            parts.append(None if members is None else {include["system"]: members})
        first, *others = parts
        if first is None:
            return None
        for other in others:
            if other is None:
                return None
            first = {system: first[system] & other[system] for system in first.keys() & other}
        return first

    def _members(self, include: Json) -> set[str] | None:
        if "concept" in include:
            return {concept["code"] for concept in include["concept"]}
        code_system = self._code_systems.get(include["system"])
        if code_system is None:
            return None
        members = {concept["code"] for concept in _concepts(code_system)}
        for filter_ in include.get("filter", []):
            if filter_["op"] not in ("is-a", "descendent-of"):
                return None
            members &= _descendants(code_system, filter_["value"], itself=filter_["op"] == "is-a")
        return members


def _concepts(parent: Json) -> Iterator[Json]:
    for concept in parent.get("concept", []):
        yield concept
        yield from _concepts(concept)


def _descendants(code_system: Json, code: str, *, itself: bool) -> set[str]:
    ancestor = next(concept for concept in _concepts(code_system) if concept["code"] == code)
    below = {concept["code"] for concept in _concepts(ancestor)}
    return below | {code} if itself else below
