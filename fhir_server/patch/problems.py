"""What a patch is, and the refusals that patches of all formats share."""

import time
from collections.abc import Callable
from typing import Any

from fhir_server.outcome import Invalid, Issue, Refusal

# Changes the resource it is given, in place where it can, and gives the result.
Patch = Callable[[dict[str, Any]], Any]

MOST_OPERATIONS = 5000
MOST_SECONDS = 5.0


class PatchFailed(Refusal):
    """The patch is well formed but cannot be applied to this resource: 422 (R4 http.html#patch)."""

    status = 422


def malformed(diagnostics: str) -> Invalid:
    """The refusal of a document that is no patch of its format."""
    return Invalid(Issue("structure", diagnostics))


def operation_malformed(index: int, problem: str) -> Invalid:
    """The refusal of a document whose operation `index`, counted from 0, is wrong in itself."""
    return malformed(f"Operation {index}: {problem}")


def operation_failed(index: int, problem: str) -> PatchFailed:
    """The refusal when operation `index`, counted from 0, cannot be applied."""
    return PatchFailed(Issue("processing", f"Operation {index}: {problem}"))


def check_number(operations: int) -> None:
    """Raises a 413 `Refusal` for more operations than are taken in one patch."""
    if operations > MOST_OPERATIONS:
        text = f"The patch has {operations} operations; at most {MOST_OPERATIONS} are taken"
        raise Refusal(Issue("too-costly", text), status=413)


def check_time(started: float, index: int) -> None:
    """Raises a 413 `Refusal` when a patch has worked for too long before operation `index`.

    started: as `time.monotonic` told it.
    """
    if time.monotonic() - started > MOST_SECONDS:
        text = f"Operation {index}: the patch takes longer than {MOST_SECONDS:g} seconds"
        raise Refusal(Issue("too-costly", text), status=413)
