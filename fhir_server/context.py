"""Who asks, for which tenant, at what time: carried by everything that reads or writes."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from fhir_server.security.access import UNLIMITED, Access
from fhir_server.security.principal import LOCAL, Principal


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
    principal: who is acting. access: what they may do.
    door: by which they came in, such as `fhir`, `mllp`. address: of their machine, if it is known.
    request_id: names the request in logs and answers.
    base_url: the FHIR base URL as the client sees it, without a slash at the end.
    test_run: whether a TestScript asks that is being carried out.
    clock, new_id: injected, so that tests compare literals.
    """

    tenant: str = "default"
    principal: Principal = LOCAL
    access: Access = UNLIMITED
    door: str = ""
    address: str = ""
    request_id: str = ""
    base_url: str = "http://localhost:8080/fhir"
    test_run: bool = False
    clock: Callable[[], datetime] = field(default=system_clock)
    new_id: Callable[[], str] = field(default=random_id)

    def now(self) -> datetime:
        """The current instant at the millisecond precision that `meta.lastUpdated` has."""
        instant = self.clock()
        return instant.replace(microsecond=instant.microsecond // 1000 * 1000)

    def trusted(self) -> "Context":
        """The same context for what the server does by itself once a request was granted."""
        return self if self.access.unlimited else replace(self, access=UNLIMITED)

    def at_once(self) -> "Context":
        """The same context with its clock stopped, for work that has one time."""
        instant = self.clock()
        return replace(self, clock=lambda: instant)
