"""The official examples through XML: JSON to XML to JSON gives the same, with all digits."""

import time
from pathlib import Path

from fhir_server.fhir_json import decode, encode_sorted
from fhir_server.outcome import Refusal
from fhir_server.xml import decode_xml, encode_xml
from tests.conformance.score import Score


def run(package: Path) -> list[Score]:
    """Write and read every example of the unpacked package, the invalid ones too."""
    started = time.monotonic()
    paths = sorted(path for path in package.glob("*.json") if path.stem != "package")
    failures = [f"{path.stem}: {what}" for path in paths if (what := difference(path.read_bytes()))]
    passed = len(paths) - len(failures)
    seconds = time.monotonic() - started
    return [Score("official examples through XML", len(paths), passed, failures, seconds)]


def difference(body: bytes) -> str:
    """What became of a resource on its way through XML; empty when nothing did."""
    resource = decode(body)
    try:
        back = decode_xml(encode_xml(resource))
    except Refusal as refusal:
        return str(refusal)
    return "" if encode_sorted(back) == encode_sorted(resource) else "reads back different"
