"""What modalities are told of the worklist, as events of the audit trail."""

from collections.abc import Sequence

from fhir_server.audit.trail import EXECUTE, Audit, Event
from fhir_server.context import Context
from fhir_server.interactions.auditing import patients_in
from fhir_server.worklist.reading import Found


async def note_steps(audit: Audit, ctx: Context, steps: Sequence[Found]) -> None:
    """Note the steps that somebody is about to be told. Raises a 503 `Refusal`."""
    if not audit.on:
        return
    shown: list[str] = []
    for step in steps:
        shown += [f"Task/{step.id}", f"ServiceRequest/{step.id}"]
        for content in (step.task, step.order):
            shown += patients_in(content)
    await audit.note(ctx, Event(EXECUTE, "worklist-find", "Task", shown=list(dict.fromkeys(shown))))
