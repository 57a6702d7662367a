"""Carries out `fhir-server hl7 send`: messages of files, one after the other, by MLLP."""

import argparse
import asyncio
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

from fhir_server.hl7v2 import Message, NoHeader, read_payload
from fhir_server.messaging.client import Client, NoAnswer
from fhir_server.messaging.settings import ClientTls

_GOOD = ("AA", "CA")


def run(arguments: argparse.Namespace) -> int:
    """0 when every message was accepted, 1 when one was not, 2 when one was not answered."""
    return asyncio.run(_send(arguments))


async def _send(arguments: argparse.Namespace) -> int:
    try:
        context = _context(arguments)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"TLS: {error}\n")
        return 2
    client = Client(
        arguments.host,
        arguments.port,
        context,
        arguments.server_name,
        answer_seconds=arguments.timeout,
    )
    status = 0
    try:
        for path, message in _messages(arguments.paths):
            if message is None:
                status = max(status, 1)
                continue
            control_id = message.value("MSH-10")
            try:
                answer = await client.ask(message.encode(), control_id)
            except NoAnswer as failure:
                sys.stderr.write(f"{path}: {control_id}: {failure}\n")
                return 2
            code = answer.value("MSA-1")
            status = status if code in _GOOD else max(status, 1)
            told = answer.value("MSA-3")
            sys.stdout.write(f"{path}: {control_id}: {code}{': ' if told else ''}{told}\n")
            for each in answer.all("ERR"):
                sys.stdout.write(f"  {each.text}\n")
    finally:
        await client.close()
    return status


def _context(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    """None without TLS. Raises OSError and ValueError for files that cannot be used."""
    files = (arguments.ca, arguments.certificate, arguments.key, arguments.server_name)
    if not arguments.tls and not any(files):
        return None
    if arguments.key and not arguments.certificate:
        raise ValueError("--key is given without --certificate")
    tls = ClientTls(ca=arguments.ca, certificate=arguments.certificate, key=arguments.key)
    return tls.context()


def _messages(paths: list[Path]) -> Iterator[tuple[Path, Message | None]]:
    for path in paths:
        try:
            content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
            yield from ((path, each) for each in read_payload(content).messages)
        except (NoHeader, OSError) as error:
            sys.stderr.write(f"{path}: {error}\n")
            yield path, None
