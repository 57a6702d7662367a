"""Who asks, for which tenant, at what time: carried by everything that reads or writes."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

# Until principals are told apart everybody is trusted with everything, as one local user is.
ROLES = frozenset(
    {
        "administrator", "doctor", "nurse", "receptionist", "billing-officer", "technician",
        "radiologist", "scheduler", "system",
    }
)  # fmt: skip


def system_clock() -> datetime:
    """The current instant in UTC."""
    return datetime.now(UTC)


def random_id() -> str:
    """A new logical id (R4 resource.html#id)."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of one interaction.

    tenant: the territory whose data is touched; a schema of the database belongs to it.
    principal: who is acting, as recorded in logs and later in audit.
    roles: what the principal may act as.
    request_id: names the request in logs and answers.
    base_url: the FHIR base URL as the client sees it, without a slash at the end.
    test_run: whether a TestScript asks that is being carried out.
    clock, new_id: injected, so that tests compare literals.
    """

    tenant: str = "default"
    principal: str = "anonymous"
    roles: frozenset[str] = ROLES
    request_id: str = ""
    base_url: str = "http://localhost:8080/fhir"
    test_run: bool = False
    clock: Callable[[], datetime] = field(default=system_clock)
    new_id: Callable[[], str] = field(default=random_id)

    def now(self) -> datetime:
        """The current instant at the millisecond precision that `meta.lastUpdated` has."""
        instant = self.clock()
        return instant.replace(microsecond=instant.microsecond // 1000 * 1000)

    def at_once(self) -> "Context":
        """The same context with its clock stopped, for work that has one time."""
        instant = self.clock()
        return replace(self, clock=lambda: instant)
