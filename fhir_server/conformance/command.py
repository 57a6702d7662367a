"""`fhir-server test`: its options. What it does is imported only when it runs."""

import argparse
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="TestScripts as JSON or XML, or folders with all below",
    )
    parser.add_argument(
        "--base-url", metavar="URL", help="the server to test; unset, a fresh one of its own"
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("FHIR_SERVER_TOKEN"),
        help="sent as Authorization: Bearer; better given as FHIR_SERVER_TOKEN",
    )
    parser.add_argument(
        "--variable",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=VALUE",
        help="value of a variable of the scripts; may be repeated",
    )
    parser.add_argument(
        "--format",
        choices=("json", "xml", "both"),
        default="json",
        help="of requests that do not say; both carries out every script twice (%(default)s)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="write TestReports, junit.xml and report.html there",
    )
    parser.add_argument(
        "--filter",
        default="",
        metavar="TEXT",
        help="only scripts with this in their path or name, or else tests with it in their name",
    )
    parser.add_argument(
        "--parallel", type=int, default=1, metavar="N", help="scripts at a time (%(default)s)"
    )
    parser.add_argument(
        "--examples",
        type=Path,
        metavar="DIR",
        help="folder of resources, named like Patient-example.json, for fixtures that want any",
    )
    parser.add_argument(
        "--destination",
        action="append",
        default=[],
        type=_pair,
        metavar="NUMBER=URL",
        help="base URL of a further server that scripts name by number; may be repeated",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="another host that absolute URLs may lead to; never sent the token; may be repeated",
    )
    parser.add_argument(
        "--okay-is-success",
        action="store_true",
        help="take the response 'okay' as any status from 200 to 299; in R4 it is 200",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="after which an answer is no longer awaited (%(default)g)",
    )
    parser.add_argument(
        "--max-response",
        type=int,
        default=32,
        metavar="MIB",
        help="largest answer that is read (%(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="tell only of what failed")


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text!r}")
    return name, value


def run(arguments: argparse.Namespace) -> int:
    """0 when nothing failed, 1 when something did, 2 for wrong options, 130 when interrupted."""
    from fhir_server.conformance import session

    return session.run(arguments)
