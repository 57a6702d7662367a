"""What a load did, in numbers and in words."""

from collections import Counter
from dataclasses import dataclass, field

from fhir_server.load.results import CREATED, DELETED, FAILED, UNCHANGED, UPDATED, Result

_FAILURES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something was not stored; `position` is the Bundle entry or the line, if any."""

    file: str
    position: int | None
    reason: str


@dataclass(slots=True)
class Summary:
    """Counts as the load goes on."""

    files: int = 0
    already_loaded: int = 0
    not_fhir: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def stored(self) -> int:
        """Resources the server holds now because of this load, or held already."""
        return sum(self.kinds[kind] for kind in (CREATED, UPDATED, UNCHANGED))

    @property
    def ok(self) -> bool:
        """Whether everything that should be stored is."""
        return not self.failures and not self.interrupted

    def add(self, file: str, results: tuple[Result, ...], single: bool) -> None:
        """Count the results of one request."""
        for result in results:
            self.kinds[result.kind] += 1
            if result.kind == FAILED:
                position = None if single else result.position
                self.failures.append(Failure(file, position, result.reason))

    def fail(self, file: str, reason: str, position: int | None = None) -> None:
        """Note what could not be sent."""
        self.failures.append(Failure(file, position, reason))

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "files": self.files,
            "alreadyLoaded": self.already_loaded,
            "notFhir": self.not_fhir,
            "resources": {
                kind: self.kinds[kind] for kind in (CREATED, UPDATED, UNCHANGED, DELETED, FAILED)
            },
            "failures": [
                {"file": f.file, "position": f.position, "reason": f.reason} for f in self.failures
            ],
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
        }

    def as_text(self) -> str:
        """For people."""
        kinds = ", ".join(
            f"{self.kinds[kind]:,} {kind}"
            for kind in (CREATED, UPDATED, UNCHANGED, DELETED)
            if self.kinds[kind] or kind == CREATED
        )
        rate = self.stored / self.seconds if self.seconds else 0.0
        lines = [
            f"{self.files:,} files, {self.stored:,} resources: {kinds}"
            f" in {self.seconds:.1f} s ({rate:,.0f} a second)"
        ]
        if self.already_loaded:
            lines.append(
                f"{self.already_loaded:,} files were loaded before and not sent again"
                " (--no-resume sends all)"
            )
        if self.not_fhir:
            lines.append(f"{len(self.not_fhir):,} files hold no FHIR resource and were left out")
        if self.failures:
            lines.append(f"{len(self.failures):,} FAILED:")
            lines.extend(f"  {_line(failure)}" for failure in self.failures[:_FAILURES_SHOWN])
            if (more := len(self.failures) - _FAILURES_SHOWN) > 0:
                lines.append(f"  and {more:,} more (--report FILE writes them all)")
        if self.interrupted:
            lines.append("Interrupted. The same command goes on where this one stopped.")
        return "\n".join(lines)


def _line(failure: Failure) -> str:
    where = "" if failure.position is None else f" [{failure.position}]"
    return f"{failure.file}{where}: {failure.reason}"
