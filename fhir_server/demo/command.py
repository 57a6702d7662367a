"""`fhir-server demo`: its options. What it does is imported only when it runs."""

import argparse
import os

DEFAULT_BASE_URL = "http://localhost:8080/fhir"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--base-url",
        default=os.environ.get("FHIR_SERVER_BASE_URL", DEFAULT_BASE_URL),
        help="the server to put it into (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="one number makes one hospital, another number another one (%(default)s)",
    )
    parser.add_argument(
        "--patients", type=int, default=40, metavar="N", help="how many (%(default)s)"
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("FHIR_SERVER_TOKEN"),
        help="sent as Authorization: Bearer; better given as FHIR_SERVER_TOKEN",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(arguments: argparse.Namespace) -> int:
    """0 when the hospital is there, 1 when something was refused, 130 when interrupted."""
    from fhir_server.demo import session

    return session.run(arguments)
