"""`fhir-server package`: its options. What it does is imported only when it runs."""

import argparse
import os
from pathlib import Path

from fhir_server.load.command import DEFAULT_BASE_URL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands `add`, `list` and `remove` with their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="load the definitions of implementation guides")
    add.add_argument("files", nargs="+", type=Path, metavar="FILE.tgz", help="FHIR packages")
    add.add_argument("--examples", action="store_true", help="load their examples too")
    add.add_argument("--force", action="store_true", help="also without the packages they stand on")
    add.add_argument("--quiet", action="store_true", help="no progress")
    _add_server(add)
    _add_server(actions.add_parser("list", help="the packages that are there"))
    remove = actions.add_parser("remove", help="delete what came with packages")
    remove.add_argument(
        "names", nargs="+", metavar="NAME[@VERSION]", help="without a version, all versions"
    )
    _add_server(remove)


def _add_server(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--base-url",
        default=os.environ.get("FHIR_SERVER_BASE_URL", DEFAULT_BASE_URL),
        help="the server (%(default)s)",
    )
    action.add_argument(
        "--token",
        default=os.environ.get("FHIR_SERVER_TOKEN"),
        help="sent as Authorization: Bearer; better given as FHIR_SERVER_TOKEN",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when it is done, 1 when something was refused."""
    from fhir_server.package_command import session

    return session.run(arguments)
