"""`fhir-server dicom`: its options. What it does is imported only when it runs."""

import argparse
import os
from pathlib import Path

from fhir_server.load.command import DEFAULT_BASE_URL

SOURCES = ("manual", "api", "cd-import")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command `upload` with its options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    upload = actions.add_parser("upload", help="send files, folders and zip files")
    upload.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders")
    upload.add_argument(
        "--order", default="", metavar="ServiceRequest/ID", help="correct the files to this order"
    )
    upload.add_argument(
        "--source", choices=SOURCES, default="manual", help="where they come from (%(default)s)"
    )
    upload.add_argument("--remove-private", action="store_true", help="remove private tags")
    upload.add_argument("--quiet", action="store_true", help="no progress")
    upload.add_argument(
        "--base-url",
        default=os.environ.get("FHIR_SERVER_BASE_URL", DEFAULT_BASE_URL),
        help="the server (%(default)s)",
    )
    upload.add_argument(
        "--token",
        default=os.environ.get("FHIR_SERVER_TOKEN"),
        help="sent as Authorization: Bearer; better given as FHIR_SERVER_TOKEN",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when every file was taken, 1 when some were refused."""
    from fhir_server.dicom_command import sending

    return sending.run(arguments)
