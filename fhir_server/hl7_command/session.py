"""Carries out `fhir-server hl7 convert`, `coverage` and `check`."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fhir_server import fhir_json
from fhir_server.hl7_command.reporting import coverage_table, explanation, guide_table
from fhir_server.hl7v2 import Message, NoHeader, read_payload
from fhir_server.mapping.convert import Mapper
from fhir_server.mapping.coverage import fields_unread
from fhir_server.mapping.explaining import explained
from fhir_server.mapping.guide import guide_rows
from fhir_server.mapping.rules import MappingError
from fhir_server.packaged import folder


def run(arguments: argparse.Namespace) -> int:
    """Carry out a command; its exit status."""
    try:
        mapper = Mapper(arguments.mappings or folder("mappings"), arguments.zone)
        if arguments.hl7_command == "check":
            mapper.check()
            sys.stdout.write("The mappings can be used.\n")
            return 0
        if arguments.hl7_command == "guide":
            rows = guide_rows(arguments.mappings or folder("mappings"), mapper.book())
            sys.stdout.write(guide_table(rows))
            return 0
        if arguments.hl7_command == "coverage":
            return _coverage(mapper, arguments.paths)
        return _convert(mapper, arguments.paths, arguments.explain)
    except MappingError as error:
        sys.stderr.write(f"fhir-server hl7: {error}\n")
        return 2


def _convert(mapper: Mapper, paths: Iterable[Path], explain: bool) -> int:
    failed = 0
    for path, message in _messages(paths):
        if message is None:
            failed = 1
            continue
        mapped = mapper.convert(message, explain=explain)
        if explain:
            found = explained(mapped, mapper.book(mapped.overlays))
            sys.stdout.write(explanation(str(path), mapped, found))
        else:
            sys.stdout.write(f"{fhir_json.encode_pretty(mapped.bundle()).decode()}\n")
            for issue in mapped.issues:
                sys.stderr.write(f"{path}: {issue.severity}: {issue.where}: {issue.text}\n")
    return failed


def _coverage(mapper: Mapper, paths: Iterable[Path]) -> int:
    failed, messages = 0, 0
    unread: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for path, message in _messages(_files(paths)):
        if message is None:
            failed = 1
            continue
        mapped = mapper.convert(message)
        if not mapped.known:
            sys.stderr.write(f"{path}: no rules for {mapped.facts.type}^{mapped.facts.event}\n")
            continue
        messages += 1
        for field, text in fields_unread(mapper.book(mapped.overlays), mapped.structure, message):
            unread.setdefault(field, []).append((str(path), text))
    sys.stdout.write(coverage_table(unread, messages))
    return failed


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES)
        else:
            yield path


_SUFFIXES = frozenset({".hl7", ".txt", ".msg", ".er7"})


def _messages(paths: Iterable[Path]) -> Iterator[tuple[Path, Message | None]]:
    """The messages of files; None, with a line about it, for a file that has none."""
    for path in paths:
        try:
            yield from ((path, each) for each in read_payload(path.read_bytes()).messages)
        except (NoHeader, OSError) as error:
            sys.stderr.write(f"{path}: {error}\n")
            yield path, None
