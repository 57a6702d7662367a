"""What came of scripts, in words for a terminal."""

from collections.abc import Iterator

from fhir_server.conformance.results import PartResult, Result, ScriptResult, Totals


def totals_told(totals: Totals) -> str:
    """The counts in one line."""
    parts = [f"{totals.passed:,} passed"]
    if totals.warned:
        parts[0] += f" ({totals.warned:,} of them with warnings)"
    named = ((totals.failed, "failed"), (totals.errors, "errors"), (totals.skipped, "skipped"))
    parts += [f"{count:,} {name}" for count, name in named if count]
    if totals.interrupted:
        parts.append(f"{_counted(totals.interrupted, 'script')} interrupted")
    if totals.broken:
        parts.append(f"{_counted(totals.broken, 'script')} without result")
    tests = totals.passed + totals.failed + totals.errors + totals.skipped
    counted = f"{_counted(totals.scripts, 'script')}, {_counted(tests, 'test')}"
    return f"{counted} in {totals.seconds:.1f} s: {', '.join(parts)}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def script_told(script: ScriptResult) -> Iterator[str]:
    """A line for a script, and one for each thing that failed in it."""
    counts = Totals.of([script])
    word = "FAIL" if script.failed else "skip" if not counts.passed else "ok"
    if script.interrupted and not script.failed:
        word = "stop"
    told = f"{word:4} {script.label} ({script.format}): {counts.passed} of {len(script.tests)}"
    extra = ((counts.skipped, "skipped"), (counts.warnings, "warnings"))
    told += "".join(f", {count} {name}" for count, name in extra if count)
    yield told
    if script.problem:
        yield f"       {script.problem}"
    if script.setup is not None and script.setup.failed:
        yield from _part_told(script.setup)
        return
    for test in script.tests:
        if test.failed:
            yield from _part_told(test)


def _part_told(part: PartResult) -> Iterator[str]:
    yield f"     {part.result.value}: {part.name}"
    yield f"       {part.message}"
    last = next(
        (
            each.exchange
            for each in reversed(part.actions)
            if each.exchange is not None and each.result is not Result.SKIP
        ),
        None,
    )
    if last is not None:
        yield f"       after {last.method} {last.url}: {last.status or 'no answer'}"
