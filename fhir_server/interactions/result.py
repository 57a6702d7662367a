"""What an interaction answers, before a door gives it its form."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fhir_server.outcome import Issue

# What a client that prefers an OperationOutcome is told when there is nothing else to tell.
DONE = Issue("informational", "Done", severity="information")


@dataclass(slots=True)
class Result:
    """The answer to one interaction.

    status: as R4 http.html gives it; stands in Bundle.entry.response.status as well.
    body: the JSON of the resource answered, None when there is none.
    type, id, version: of the resource, where the answer is about one.
    created: whether the answer names where the resource is (Location).
    written: whether a version was stored, with its event in the audit trail.
    outcome: notes for the client, sent when it prefers an OperationOutcome.
    """

    status: int
    body: bytes | None = None
    type: str = ""
    id: str = ""
    version: int = 0
    last_updated: datetime | None = None
    created: bool = False
    outcome: list[Issue] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    written: bool = False

    @property
    def etag(self) -> str | None:
        """The weak entity tag of the version (R4 http.html#versioning)."""
        return f'W/"{self.version}"' if self.version else None

    def location(self, base_url: str) -> str:
        """The absolute URL of the version."""
        return f"{base_url}/{self.type}/{self.id}/_history/{self.version}"


Resource = dict[str, Any]
