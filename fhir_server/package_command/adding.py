"""Stores what packages define."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.load.parts import Entry
from fhir_server.load.progress import Progress
from fhir_server.load.results import CREATED, FAILED, UNCHANGED, UPDATED, Result
from fhir_server.load.sender import Sender
from fhir_server.package_command.entries import batches, identity, stored
from fhir_server.package_command.server import Present
from fhir_server.package_command.tags import tag
from fhir_server.packages import Package

Json = dict[str, Any]

# A server may have good reasons to refuse these; the rest of a guide is of use without them.
_OPTIONAL = "SearchParameter"


class Order:
    """Packages, each after those of them that it stands on.

    present: versions by name of the packages on the server.
    missing: what is neither given nor there, with the packages that need it.
    """

    def __init__(self, packages: Iterable[Package], present: Mapping[str, set[str]]) -> None:
        given = {tag(each.manifest): each for each in packages}
        here = {name: set(versions) for name, versions in present.items()}
        for each in given.values():
            here.setdefault(each.manifest.name, set()).add(each.manifest.version)
        self.missing: dict[str, list[str]] = {}
        for code, each in given.items():
            for name, version in each.manifest.missing(here).items():
                self.missing.setdefault(f"{name}#{version}", []).append(code)
        self.packages: list[Package] = []
        self._visited: set[str] = set()
        for each in given.values():
            self._visit(each, given.values())

    def _visit(self, package: Package, given: Iterable[Package]) -> None:
        if tag(package.manifest) in self._visited:
            return
        self._visited.add(tag(package.manifest))
        for other in given:
            if other.manifest.name in package.manifest.dependencies:
                self._visit(other, given)
        self.packages.append(package)


class Adding:
    """Stores packages on one server, and says on stderr what became of them."""

    def __init__(self, sender: Sender, present: Present, examples: bool, quiet: bool) -> None:
        self._sender = sender
        self._present = present
        self._examples = examples
        self._quiet = quiet

    async def add(self, package: Package) -> bool:
        """Store one package. False when anything but search parameters was refused."""
        code = tag(package.manifest)
        resources = [*package.resources, *(package.examples if self._examples else ())]
        entries: list[Entry] = []
        results: list[Result] = []
        for position, resource in enumerate(resources):
            entry = stored(position, resource, self._packages(resource, code))
            if entry is not None:
                entries.append(entry)
            else:
                results.append(Result(position, FAILED, "it has neither a URL nor an id"))
        with Progress(sum(len(each.content) for each in entries), self._quiet) as progress:
            for part in batches(entries):
                answer = await self._sender.send(part)
                results += answer.results
                progress.advance(part.read, len(answer.results) - len(answer.failed))
        return _told(code, resources, results)

    def _packages(self, resource: Json, code: str) -> set[str]:
        """This package, and the others that have the same definition."""
        known = identity(resource)
        if known is None:
            return {code}
        packages = self._present.packages.setdefault(known, set())
        packages.add(code)
        return packages


def _told(code: str, resources: list[Json], results: list[Result]) -> bool:
    kinds = Counter(each.kind for each in results)
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in (CREATED, UPDATED, UNCHANGED))
    failed = [each for each in results if each.kind == FAILED]
    refused = f", {len(failed)} refused:" if failed else ""
    sys.stderr.write(f"{code}: {len(resources)} resources: {counts}{refused}\n")
    for each in failed:
        resource = resources[each.position]
        name = resource.get("url") or resource.get("id") or "without an id"
        sys.stderr.write(f"  {resource['resourceType']} {name}: {each.reason}\n")
    fatal = [each for each in failed if resources[each.position]["resourceType"] != _OPTIONAL]
    if failed and not fatal:
        sys.stderr.write("All else is stored; only these search parameters cannot be used.\n")
    return not fatal
