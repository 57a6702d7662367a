"""Takes packages off a server."""

import sys

import httpx

from fhir_server.load.parts import BATCH_ENTRIES
from fhir_server.load.results import FAILED
from fhir_server.load.sender import Sender
from fhir_server.package_command.entries import batches, removed
from fhir_server.package_command.server import some_of


async def remove(client: httpx.AsyncClient, base_url: str, package: str) -> bool:
    """Delete what came with a package and with no other. False when something stays."""
    sender = Sender(client, base_url)
    count = 0
    while resources := await some_of(client, base_url, package, BATCH_ENTRIES):
        entries = [
            removed(position, resource, package) for position, resource in enumerate(resources)
        ]
        results = [
            result for part in batches(entries) for result in (await sender.send(part)).results
        ]
        failed = [each for each in results if each.kind == FAILED]
        count += len(results) - len(failed)
        # What is refused is found again; without progress it would be for ever.
        if len(failed) == len(results):
            sys.stderr.write(f"{package}: {count} resources removed; these are kept:\n")
            for each in failed:
                resource = resources[each.position]
                name = f"{resource['resourceType']}/{resource['id']}"
                sys.stderr.write(f"  {name}: {each.reason}\n")
            return False
    sys.stderr.write(f"{package}: {count} resources removed\n")
    return True
