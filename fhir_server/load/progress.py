"""Shows on stderr how far a load is: a bar in a terminal, a line every few seconds elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts bytes of files, since nobody knows the number of resources beforehand."""

    def __init__(self, total_bytes: int, quiet: bool = False):
        self._total = total_bytes
        self._done = 0
        self._resources = 0
        self._started = self._line_at = time.monotonic()
        self._lines = not quiet and not sys.stderr.isatty()
        self._bar = tqdm(
            total=total_bytes,
            unit="B",
            unit_scale=True,
            disable=quiet or self._lines,
            bar_format="{percentage:3.0f}% |{bar}| {desc} [{elapsed}<{remaining}]",
        )

    def advance(self, size: int, resources: int) -> None:
        """A request was answered, or a file left out."""
        self._done += size
        self._resources += resources
        self._bar.set_description_str(self._told(), refresh=False)
        self._bar.update(size)
        now = time.monotonic()
        if self._lines and now - self._line_at >= _SECONDS_BETWEEN_LINES:
            self._line_at = now
            percent = 100 * self._done // max(self._total, 1)
            sys.stderr.write(f"{percent} %, {self._told()}\n")

    def _told(self) -> str:
        rate = self._resources / max(time.monotonic() - self._started, 1e-9)
        return f"{self._resources:,} resources, {rate:,.0f}/s"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
