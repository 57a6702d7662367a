"""What modalities are told of the worklist, and what is exported, as events of the trail."""

from collections.abc import Sequence

from fhir_server.audit.trail import EXECUTE, Audit, Event
from fhir_server.context import Context
from fhir_server.interactions.auditing import patients_in
from fhir_server.worklist.reading import Found

FIND, EXPORT = "worklist-find", "worklist-export"


async def note_steps(audit: Audit, ctx: Context, name: str, steps: Sequence[Found]) -> None:
    """Note the steps that somebody is about to be told. Raises a 503 `Refusal`.

    name: `FIND` or `EXPORT`, which is noted only if there is something to be told.
    """
    if not audit.on or (name == EXPORT and not steps):
        return
    shown: list[str] = []
    for step in steps:
        shown += [f"Task/{step.id}", f"ServiceRequest/{step.id}"]
        for content in (step.task, step.order):
            shown += patients_in(content)
    await audit.note(ctx, Event(EXECUTE, name, "Task", shown=list(dict.fromkeys(shown))))
