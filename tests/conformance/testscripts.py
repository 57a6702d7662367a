"""The TestScript suite, carried out by the engine of the product against the running server."""

import asyncio
import time
import tomllib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fhir_server import fhir_json
from fhir_server.conformance.client import Client
from fhir_server.conformance.finding import find
from fhir_server.conformance.reading import Unreadable, decoded, script
from fhir_server.conformance.results import PartResult, Result, ScriptResult, worst
from fhir_server.conformance.runner import Options
from fhir_server.conformance.runner import run as run_script
from fhir_server.conformance.server import Server
from fhir_server.xml import encode_xml
from tests.conformance.score import Score

EXCEPTIONS = Path(__file__).with_name("testscript_exceptions.toml")


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """Tests that this server does not pass.

    rule: what R4 says. ours: whether the test is right and the server falls short of it.
    """

    script: str
    tests: tuple[str, ...]
    reason: str
    rule: str
    ours: bool = False


def known_failures() -> list[KnownFailure]:
    """The tests that are known not to pass."""
    listed = tomllib.loads(EXCEPTIONS.read_text())["exception"]
    return [KnownFailure(**{**each, "tests": tuple(each["tests"])}) for each in listed]


@dataclass(frozen=True, slots=True)
class BrokenFixture:
    """A script that stores what breaks an invariant of R4, so that its setup is refused.

    It is carried out on a server that demands no invariants.
    """

    script: str
    reason: str
    rule: str


def broken_fixtures() -> list[BrokenFixture]:
    """The scripts that need such a server."""
    return [BrokenFixture(**each) for each in tomllib.loads(EXCEPTIONS.read_text())["fixture"]]


def run(base_url: str, token: str, lenient_url: str, suites: Path, package: Path) -> list[Score]:
    """The scores of the suite: of a test with several values, the worst counts.

    token: for the server, which asks for one.
    lenient_url: a server that demands no invariants, for the scripts of `broken_fixtures`.
    """
    started = time.monotonic()
    suite = suites / "testscripts" / "ignixa"
    lenient = {each.script for each in broken_fixtures()}
    results = asyncio.run(_results(base_url, suite, package, token=token))
    needless = {each.label for each in results if each.label in lenient and not _refused(each)}
    results = [each for each in results if each.label not in lenient]
    results += asyncio.run(_results(lenient_url, suite, package, lenient))
    seconds = time.monotonic() - started
    passed = Score("testscripts passed", 0, 0, seconds=seconds)
    plain = Score("testscripts passed without a warning", 0, 0)
    known = Score("testscripts passed or known not to", 0, 0)
    known.failures += [f"{label}: its setup is not refused, though listed" for label in needless]
    explained = {(each.script, test) for each in known_failures() for test in each.tests}
    for result_of in results:
        if result_of.problem:
            known.failures.append(f"{result_of.label}: {result_of.problem}")
        broken = _refused(result_of)
        for parts in _tests(result_of):
            # What is not carried out for want of a setup is no test that leaves itself out.
            result = Result.FAIL if broken else worst(part.result for part in parts)
            if result is Result.SKIP:
                continue
            name = parts[0].name.partition(" [")[0] if len(parts) > 1 else parts[0].name
            good = result in (Result.PASS, Result.WARNING)
            for score in (passed, plain, known):
                score.cases += 1
            passed.passed += good
            plain.passed += result is Result.PASS
            known.passed += good or (result_of.label, name) in explained
            if not good and (result_of.label, name) not in explained:
                bad = next((part for part in parts if part.failed), parts[0])
                known.failures.append(f"{result_of.label}: {bad.name}: {bad.message}")
            if good and (result_of.label, name) in explained:
                known.failures.append(f"{result_of.label}: {name}: passes, though listed as known")
    return [passed, plain, known]


def examples(package: Path) -> list[Score]:
    """How many of the official TestScripts are read, from JSON and from XML."""
    score = Score("official TestScripts read", 0, 0)
    for path in sorted(package.glob("TestScript-*.json")):
        as_json = path.read_bytes()
        for data in (as_json, encode_xml(fhir_json.decode(as_json))):
            score.cases += 1
            try:
                score.passed += bool(script(decoded(data), path, package).tests)
            except Unreadable as error:
                score.failures.append(f"{path.name}: {error}")
    return [score]


def _refused(result: ScriptResult) -> bool:
    return result.setup is not None and result.setup.failed


def _tests(result: ScriptResult) -> list[list[PartResult]]:
    by_number: defaultdict[int, list[PartResult]] = defaultdict(list)
    for part in result.tests:
        assert part.number is not None
        by_number[part.number].append(part)
    return list(by_number.values())


async def _results(
    base_url: str,
    suite: Path,
    package: Path,
    only: Collection[str] = (),
    token: str | None = None,
) -> list[ScriptResult]:
    # The scripts mean any success by `okay`, as some of their descriptions say.
    options = Options(variables={"runId": "${D8}"}, examples=package, any_success=True)
    async with Client([base_url], token=token) as client:
        server = Server(client, {1: base_url})
        wanted = [
            each.script
            for each in find([suite])
            if each.script is not None and (not only or each.script.label in only)
        ]
        return [await run_script(each, server, options) for each in wanted]
