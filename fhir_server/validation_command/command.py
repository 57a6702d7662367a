"""`fhir-server validate`: its options. What it does is imported only when it runs."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE|DIR",
        help="resources and Bundles as JSON or XML, NDJSON; folders with all below",
    )
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.tgz",
        help="an implementation guide whose profiles and value sets are to be known; repeatable",
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="CANONICAL",
        help="a profile that every resource of its type must conform to; repeatable",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: an OperationOutcome for each resource, one a line (%(default)s)",
    )
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning"),
        default="error",
        help="the least severity that makes the exit status 1 (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when all is valid, 1 when something is not, 2 when not everything could be looked at."""
    from fhir_server.validation_command import session

    return session.run(arguments)
