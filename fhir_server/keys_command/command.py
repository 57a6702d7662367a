"""`fhir-server keys`: its options. The rest is imported to run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhir_server.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The actions. Returns the parsers of those that need the database."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="put a new master key into a key file, first")
    create.add_argument("file", type=Path, metavar="FILE")
    rotate = actions.add_parser(
        "rotate", help="encrypt by new keys, what is stored in the background"
    )
    rotate.add_argument(
        "--search",
        action="store_true",
        help="make keyed hashes by a new key, too; until that is done searches of encrypted "
        "elements get 503",
    )
    move = actions.add_parser(
        "move", help="have another key file or key service wrap all keys; then restart with it"
    )
    move.add_argument("to", metavar="SEAL-KEYS", help="as seal_keys is from then on")
    status = actions.add_parser("status", help="what is encrypted by which keys")
    for action in (rotate, move, status):
        action.add_argument("--tenant", metavar="NAME", help="territory; all without it")
    return [rotate, move, status]


def run(arguments: argparse.Namespace, settings: "Settings") -> int:
    """0 when it is done, 1 when it cannot be."""
    from fhir_server.keys_command import session

    return session.run(arguments, settings)
