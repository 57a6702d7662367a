"""`fhir-server load`: its options. What it does is imported only when it runs."""

import argparse
import os
from pathlib import Path

DEFAULT_BASE_URL = "http://localhost:8080/fhir"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE|DIR",
        help="Bundles, NDJSON, single resources; also .bz2, .gz, .zip; folders with all below",
    )
    parser.add_argument(
        "--base-url",
        default=os.environ.get("FHIR_SERVER_BASE_URL", DEFAULT_BASE_URL),
        help="the server to load into (%(default)s)",
    )
    parser.add_argument(
        "--parallel",
        type=int,
        default=min(8, 2 * (os.cpu_count() or 1)),
        metavar="N",
        help="requests at a time (%(default)s)",
    )
    parser.add_argument(
        "--no-resume",
        action="store_true",
        help="send everything, also what an earlier load stored",
    )
    parser.add_argument(
        "--journal",
        type=Path,
        default=default_journal(),
        metavar="FILE",
        help="where it is remembered what is stored (%(default)s)",
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("FHIR_SERVER_TOKEN"),
        help="sent as Authorization: Bearer; better given as FHIR_SERVER_TOKEN",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write the summary there, as JSON"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(arguments: argparse.Namespace) -> int:
    """0 when all is stored, 1 when something failed, 130 when interrupted."""
    from fhir_server.load import session

    return session.run(arguments)


def default_journal() -> Path:
    """In the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "fhir-server" / "load.journal"
