"""`fhir-server hl7`: its commands and their options. What they do is imported when they run."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands and their options."""
    commands = parser.add_subparsers(dest="hl7_command", required=True, metavar="COMMAND")
    convert = commands.add_parser("convert", help="print what messages become in FHIR")
    convert.add_argument("paths", nargs="+", type=Path, metavar="FILE", help="HL7 v2 messages")
    convert.add_argument(
        "--explain",
        action="store_true",
        help="print each element with the rule behind it and its place in the message",
    )
    _add_mappings(convert)
    coverage = commands.add_parser("coverage", help="print the fields that no rule reads")
    coverage.add_argument(
        "paths", nargs="+", type=Path, metavar="FILE|DIR", help="HL7 v2 messages; folders with all"
    )
    _add_mappings(coverage)
    send = commands.add_parser("send", help="send messages by MLLP and print what is answered")
    send.add_argument(
        "paths", nargs="+", type=Path, metavar="FILE", help="HL7 v2 messages; - for standard input"
    )
    send.add_argument("--host", default="127.0.0.1", help="of the receiver (%(default)s)")
    send.add_argument("--port", type=int, default=2575, help="of the receiver (%(default)s)")
    send.add_argument(
        "--timeout", type=float, default=30.0, help="seconds to wait for an answer (%(default)s)"
    )
    tls = send.add_argument_group("TLS", "Used with --tls, and where a file of it is named")
    tls.add_argument("--tls", action="store_true", help="send by TLS")
    tls.add_argument("--ca", type=Path, metavar="FILE", help="who vouches for the receiver")
    tls.add_argument("--certificate", type=Path, metavar="FILE", help="of the sender")
    tls.add_argument("--key", type=Path, metavar="FILE", help="of the certificate")
    tls.add_argument("--server-name", metavar="NAME", help="in the receiver's certificate")
    guide = commands.add_parser("guide", help="print what became of the v2-to-FHIR guide's rows")
    _add_mappings(guide)
    check = commands.add_parser("check", help="check mapping files, overlays included")
    _add_mappings(check)


def _add_mappings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mappings", type=Path, metavar="DIR", help="the rules; default: those of the server"
    )
    parser.add_argument(
        "--zone", default="UTC", help="of times without an offset, as in IANA's names (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when all went well, 1 when a message could not be read, 2 when the rules are wrong.

    For `send`: 1 when a message was not accepted, 2 when there was no answer.
    """
    if arguments.hl7_command == "send":
        from fhir_server.hl7_command import sending

        return sending.run(arguments)
    from fhir_server.hl7_command import session

    return session.run(arguments)
