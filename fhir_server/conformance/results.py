"""What came of a script: actions, tests, the whole (R4 testreport.html)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from fhir_server.conformance.content import Content, Headers, Request, Response

# Of a body, how much is kept for reports.
_KEPT = 20_000
_SECRET = {"authorization", "proxy-authorization", "cookie", "set-cookie"}


class Result(StrEnum):
    """How an action ended (R4 valueset-report-action-result-codes.html)."""

    PASS = "pass"
    SKIP = "skip"
    WARNING = "warning"
    FAIL = "fail"
    ERROR = "error"


_BAD = (Result.FAIL, Result.ERROR)


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as reports show it: without secrets, and not longer than a person reads."""

    headers: Headers
    body: str
    size: int

    @classmethod
    def of(cls, content: Content) -> "Kept":
        """What is kept of a request or a response."""
        headers = tuple(
            (field_, "…" if field_.lower() in _SECRET else value)
            for field_, value in content.headers
        )
        body = content.body[:_KEPT].decode("utf-8", "replace")
        return cls(headers, body, len(content.body))


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came back."""

    method: str
    url: str
    request: Kept
    status: int | None = None
    response: Kept | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, request: Request, response: Response | None) -> "Exchange":
        """What is kept of an exchange."""
        kept = Kept.of(request)
        if response is None:
            return cls(request.method, request.url, kept)
        return cls(
            request.method, request.url, kept, response.status, Kept.of(response), response.seconds
        )


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What came of one operation or assertion."""

    is_operation: bool
    result: Result
    title: str
    message: str = ""
    exchange: Exchange | None = None


@dataclass(slots=True)
class PartResult:
    """What came of the setup, of a test or of the teardown.

    number: of the test in its script, from 0; None for setup and teardown.
    """

    name: str
    description: str | None = None
    number: int | None = None
    actions: list[ActionResult] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def result(self) -> Result:
        """The worst that happened; a test of which nothing was carried out was skipped."""
        return worst(action.result for action in self.actions)

    @property
    def failed(self) -> bool:
        """Whether it failed, or could not be carried out."""
        return self.result in _BAD

    @property
    def message(self) -> str:
        """Why it failed or was skipped."""
        wanted = self.result
        if wanted is Result.PASS:
            return ""
        first = next((each for each in self.actions if each.result is wanted), None)
        if first is None:
            return ""
        return ": ".join(each for each in (first.title, first.message) if each)

    @property
    def warnings(self) -> int:
        """Assertions that do not hold and were meant only to warn."""
        return sum(action.result is Result.WARNING for action in self.actions)


def worst(results: Iterable[Result]) -> Result:
    """The result of a whole from those of its parts."""
    found = set(results)
    for each in (Result.ERROR, Result.FAIL, Result.WARNING, Result.PASS):
        if each in found:
            return each
    return Result.SKIP


@dataclass(slots=True)
class ScriptResult:
    """What came of one script.

    label: the path of its file below the folder that was asked for. format: `json` or `xml`.
    problem: why nothing could be carried out; empty if it was.
    interrupted: whether it was stopped before its end; what did not come to pass was skipped.
    """

    label: str
    name: str
    reference: str
    format: str
    base_url: str
    problem: str = ""
    interrupted: bool = False
    setup: PartResult | None = None
    tests: list[PartResult] = field(default_factory=list)
    teardown: PartResult | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0

    @property
    def parts(self) -> Iterator[PartResult]:
        """Setup, tests and teardown."""
        if self.setup is not None:
            yield self.setup
        yield from self.tests
        if self.teardown is not None:
            yield self.teardown

    @property
    def failed(self) -> bool:
        """Whether the server under test is not what the script says, or nobody can tell.

        What goes wrong while cleaning up is told, and is no failure.
        """
        judged = [each for each in (self.setup, *self.tests) if each is not None]
        return bool(self.problem) or any(each.failed for each in judged)


@dataclass(slots=True)
class Totals:
    """Counts over scripts. `warned` tests are among the passed."""

    scripts: int = 0
    passed: int = 0
    warned: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    broken: int = 0
    interrupted: int = 0
    warnings: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, results: Iterable[ScriptResult], seconds: float = 0.0) -> "Totals":
        """Count the tests of scripts.

        broken: scripts that could not be read, or whose setup failed.
        """
        totals = cls(seconds=seconds)
        for script in results:
            totals.scripts += 1
            totals.interrupted += script.interrupted
            if script.problem or (script.setup is not None and script.setup.failed):
                totals.broken += 1
            for test in script.tests:
                totals._count(test)
        return totals

    def _count(self, test: PartResult) -> None:
        result = test.result
        self.warnings += test.warnings
        self.passed += result in (Result.PASS, Result.WARNING)
        self.warned += result is Result.WARNING
        self.failed += result is Result.FAIL
        self.errors += result is Result.ERROR
        self.skipped += result is Result.SKIP

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing was left out by an interruption."""
        return not (self.failed or self.errors or self.broken or self.interrupted)
