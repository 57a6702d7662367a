"""One run of `fhir-server validate`: from its arguments to its exit status."""

import argparse
import asyncio
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from fhir_server.outcome import Issue, Refusal
from fhir_server.packaged import folder
from fhir_server.packages import Package, read_path
from fhir_server.provisioning.files import read_provided
from fhir_server.validation_command.checking import Checker
from fhir_server.validation_command.documents import Document, documents
from fhir_server.validation_command.known import Known
from fhir_server.validation_command.reporting import Json, Report, Text, complain

VALID, INVALID, HINDERED = 0, 1, 2
_FAILING = {"error": ("error", "fatal"), "warning": ("warning", "error", "fatal")}


def run(arguments: argparse.Namespace) -> int:
    """0 when all is valid, 1 when something is not, 2 when not everything could be looked at."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        packages = [read_path(path) for path in arguments.package]
        provided = [each.resource for each in read_provided([folder("profiles")], known_good=True)]
        checker = Checker(Known(packages, provided), arguments.profile)
    except Refusal as error:
        complain(str(error))
        return HINDERED
    _tell_missing(packages)
    report: Report = Text() if arguments.format == "text" else Json()
    counts, hindered = asyncio.run(_check(arguments.paths, checker, report))
    report.end(counts)
    for canonical, type_ in checker.unused.items():
        complain(f"--profile {canonical}: there is no {type_} to hold against it.")
    if hindered or checker.unused:
        return HINDERED
    return INVALID if any(counts[each] for each in _FAILING[arguments.fail_on]) else VALID


async def _check(
    paths: Iterable[Path], checker: Checker, report: Report
) -> tuple[Counter[str], bool]:
    counts: Counter[str] = Counter()
    hindered = False
    for document in documents(paths):
        found = await _found(document, checker)
        report.tell(document, found)
        counts["resource"] += not document.unread
        counts.update(issue.severity for issue in found)
        hindered = hindered or document.unread
    return counts, hindered


async def _found(document: Document, checker: Checker) -> Sequence[Issue]:
    if document.issue is not None:
        return (document.issue,)
    return await checker.findings(document.resource)


def _tell_missing(packages: Iterable[Package]) -> None:
    """Name the packages that others stand on: without them, their profiles are not known."""
    packages = list(packages)
    present: defaultdict[str, set[str]] = defaultdict(set)
    for package in packages:
        present[package.manifest.name].add(package.manifest.version)
    for package in packages:
        manifest = package.manifest
        missing = [f"{name}#{version}" for name, version in manifest.missing(present).items()]
        if missing:
            complain(
                f"warning: {manifest.name}#{manifest.version} stands on {', '.join(missing)}, not"
                " given by --package: what is defined there is not known here."
            )
