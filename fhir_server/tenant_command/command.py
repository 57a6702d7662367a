"""`fhir-server tenant`: its options. The rest is imported to run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhir_server.settings import Settings

# The settings that each action takes beside its own options.
DATABASE = frozenset({"data_dir", "database_url", "migration_database_url"})
SEALING = frozenset({"seal_elements", "seal_keys"})


def add_arguments(
    parser: argparse.ArgumentParser,
) -> list[tuple[argparse.ArgumentParser, frozenset[str]]]:
    """The actions. Returns their parsers, with the settings that each takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="add a territory; a server that runs serves it at once")
    add.add_argument("name", help="lower-case letters, digits and underscores")
    listing = actions.add_parser("list", help="the territories, with what they take on disk")
    export = actions.add_parser("export", help="write all resources of a territory as NDJSON")
    export.add_argument("name")
    export.add_argument("target", type=Path, help="a new folder, or a file that ends in .tar.gz")
    export.add_argument("--history", action="store_true", help="former versions and deletions too")
    drop = actions.add_parser("drop", help="delete a territory with everything in it, for ever")
    drop.add_argument("name")
    drop.add_argument("--yes", action="store_true", help="do it; without, it is only told what")
    drop.add_argument("--confirm", metavar="NAME", help="the name once more, instead of typing it")
    return [
        (add, DATABASE), (listing, DATABASE), (export, DATABASE | SEALING), (drop, DATABASE)
    ]  # fmt: skip


def run(arguments: argparse.Namespace, settings: "Settings") -> int:
    """Carry it out. Returns the exit status."""
    from fhir_server.tenant_command.session import run

    return run(arguments, settings)
