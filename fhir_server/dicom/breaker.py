"""An archive that does not answer is not asked for a while, so that nobody waits for timeouts."""

import time

import httpx

from fhir_server.outcome import Issue, Unavailable

_FAILURES = 3
_SPARED_SECONDS = 2.0
_RETRY_AFTER = "5"


class ArchiveAway(Unavailable):
    """Orthanc does not answer, or not as it should: 503.

    answered: the status that it answered by, 0 if it did not.
    """

    def __init__(self, text: str, answered: int = 0) -> None:
        self.answered = answered
        issue = Issue("transient", f"The image archive cannot be used now: {text}")
        super().__init__(issue, headers={"Retry-After": _RETRY_AFTER})


class Breaker:
    """Counts failures in a row of one archive; threads may share it."""

    def __init__(self) -> None:
        self._failures = 0
        self._spared_until = 0.0

    def check(self) -> None:
        """Raises `ArchiveAway` while the archive is spared."""
        if self._failures >= _FAILURES and time.monotonic() < self._spared_until:
            raise ArchiveAway("it did not answer a moment ago")

    def answered(self) -> None:
        """It answers."""
        self._failures = 0

    def failed(self, error: httpx.TransportError) -> ArchiveAway:
        """It did not; what to raise."""
        self._failures += 1
        self._spared_until = time.monotonic() + _SPARED_SECONDS
        return ArchiveAway(f"no answer ({type(error).__name__})")
