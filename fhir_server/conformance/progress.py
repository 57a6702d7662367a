"""Shows how far a run is: a bar in a terminal, and a line a script wherever it goes."""

import sys
from types import TracebackType
from typing import Self

from tqdm import tqdm

from fhir_server.conformance.results import PartResult, ScriptResult
from fhir_server.conformance.summary import script_told


class Progress:
    """Counts tests as they end.

    quiet: only scripts that failed are told of.
    """

    def __init__(self, tests: int, quiet: bool = False):
        self._quiet = quiet
        self._failed = 0
        self._bar = tqdm(
            total=tests,
            unit="test",
            disable=quiet or not sys.stderr.isatty(),
            bar_format="{n}/{total} |{bar}| {desc} [{elapsed}<{remaining}]",
            leave=False,
        )

    def part(self, part: PartResult) -> None:
        """A setup, a test or a teardown has ended."""
        self._failed += part.failed
        if part.number is not None:
            self._bar.set_description_str(f"{self._failed} failed", refresh=False)
            self._bar.update(1)

    def script(self, result: ScriptResult) -> None:
        """A script has ended."""
        if self._quiet and not result.failed:
            return
        tqdm.write("\n".join(script_told(result)), file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
