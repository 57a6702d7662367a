"""What every door tells the trail, and what takes it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fhir_server.audit.keys import Remembered
from fhir_server.context import Context

# R4 valueset-audit-event-action.html.
CREATE, READ, UPDATE, DELETE, EXECUTE = "C", "R", "U", "D", "E"
# R4 valueset-audit-event-outcome.html.
SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE, MAJOR_FAILURE = "0", "4", "8", "12"


class Event(NamedTuple):
    """One access or change; who and from where stands in the Context.

    action: of R4's codes, such as `READ`.
    interaction: its name, such as `vread` or `login`.
    type, id, version: of the resource that was asked for, as far as one was.
    old_version: of what a change has superseded; 0 for none.
    shown: `Type/id` of what was shown beside it, and of the patients that it is about.
    query: as asked, percent-encoded.
    outcome: of R4's codes. reason: why it was not done, as a code and an HTTP status.
    """

    action: str
    interaction: str
    type: str = ""
    id: str = ""
    version: int = 0
    old_version: int = 0
    shown: Sequence[str] = ()
    query: str = ""
    outcome: str = SUCCESS
    reason: str = ""


class Audit(Protocol):
    """Where events go."""

    @property
    def on(self) -> bool:
        """Whether events are kept: else nobody needs to make them."""

    async def note(self, ctx: Context, event: Event) -> None:
        """Keep an event, before what it tells of is answered.

        Raises a 503 `Refusal` if that is not possible: nothing is served unaudited.
        """

    async def settle(self, tenant: str) -> None:
        """Have in the database what this process has noted, before somebody looks there."""

    @property
    def remembered(self) -> Remembered | None:
        """What is kept outside of the database; None for nothing."""

    def line(self, ctx: Context, event: Event) -> str | None:
        """The event of a change as it is stored in the change's own transaction; None if not."""


class NoAudit:
    """Nothing is kept."""

    on = False
    remembered = None

    async def note(self, ctx: Context, event: Event) -> None:
        """Forget it."""

    async def settle(self, tenant: str) -> None:
        """Nothing waits."""

    def line(self, ctx: Context, event: Event) -> str | None:
        """Nothing to be stored."""
        return None


NO_AUDIT = NoAudit()
