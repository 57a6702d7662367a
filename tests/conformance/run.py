"""Runs the suites against a fresh server and fails when one scores below its floor.

usage: python -m tests.conformance.run [--suites DIRECTORY] [--report FILE]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.conformance import (
    examples,
    fhirpath,
    invariants,
    patches,
    profiles,
    score,
    search_index,
    searches,
    structure_oracle,
    synthea,
    testscripts,
    xml_examples,
)
from tests.conformance.tokens import access_token
from tests.conftest import running_server

ROOT = Path(__file__).parents[2]


def definitions() -> Path:
    """The directory of the official definitions and examples."""
    script = ROOT / "scripts" / "fetch-definitions"
    printed = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout
    return ROOT / printed.strip()


def scores(suites: Path) -> list[score.Score]:
    """What every suite scored on one fresh server."""
    package = definitions()
    with tempfile.TemporaryDirectory(prefix="fhir-conformance-") as name:
        workplace = Path(name)
        workplace.chmod(0o755)
        options = ["--data-dir", str(workplace / "data")]
        with running_server(workplace, *options) as server:
            base_url = server.base_url
            # Synthea first: its counts are then the server's whole content.
            found = _timed("synthea", lambda: synthea.run(base_url, suites / "synthea", workplace))
            since = datetime.now(UTC)
            with _lenient(workplace) as lenient:
                found += _timed(
                    "official examples", lambda: examples.run(base_url, lenient, package)
                )
                found += _timed("searches", lambda: searches.run(base_url, package, since))
                found += _timed("patches", lambda: patches.run(base_url, lenient, suites))
        # An empty one, since scripts count what they find; with authentication, as in hospitals.
        empty = workplace / "empty"
        guarded = ["--data-dir", str(empty), "--authentication", "embedded"]
        with running_server(workplace, *guarded) as server, _lenient(workplace) as lenient:
            url = server.base_url
            token = access_token(url, empty)
            found += _timed(
                "TestScripts", lambda: testscripts.run(url, token, lenient, suites, package)
            )
        found += _timed("official TestScripts", lambda: testscripts.examples(package))
        found += _timed("XML", lambda: xml_examples.run(package))
        found += _timed("FHIRPath", lambda: fhirpath.run(suites))
        found += _timed("invariants", lambda: invariants.run(package))
        found += _timed("search index", lambda: search_index.run(package))
        found += _timed("structure", lambda: structure_oracle.run(package))
        found += _timed("profiles", lambda: profiles.run(package, suites))
        return found


@contextmanager
def _lenient(workplace: Path) -> Iterator[str]:
    """The URL of a server that takes what breaks an invariant of R4."""
    with tempfile.TemporaryDirectory(dir=workplace) as name:
        directory = Path(name)
        directory.chmod(0o755)
        options = ["--data-dir", str(directory / "data"), "--no-validate-invariants"]
        with running_server(directory, *options) as server:
            yield server.base_url


def _timed(suite: str, run: Callable[[], list[score.Score]]) -> list[score.Score]:
    started = time.monotonic()
    found = run()
    sys.stderr.write(f"{suite}: {time.monotonic() - started:.1f} s\n")
    return found


def main() -> int:
    """0 when every suite reaches its floor."""
    parser = argparse.ArgumentParser(prog="tests.conformance.run")
    parser.add_argument("--suites", type=Path, default=ROOT.parent / "shared" / "suites")
    parser.add_argument("--report", type=Path, default=ROOT / ".cache" / "conformance.json")
    arguments = parser.parse_args()
    found = scores(arguments.suites)
    least = score.floors()
    score.write(found, arguments.report)
    sys.stdout.write(score.table(found, least) + "\n")
    complaints = score.below(found, least)
    sys.stdout.write("".join(f"BELOW THE FLOOR: {text}\n" for text in complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
