"""The entries of a transaction on their way."""

from dataclasses import dataclass, replace

from fhir_server.interactions.conditional import Condition
from fhir_server.interactions.entries import WRITES, Entry
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.outcome import Issue, Refusal
from fhir_server.storage.resources import Stored
from fhir_server.validation.structure import Checked

# Versions by type and id.
Current = dict[tuple[str, str], Stored]

# After this many entries other requests of the process get their turn.
TURN = 50


@dataclass(slots=True)
class Step:
    """One entry on its way: what it asks for, then what it means, then what came of it."""

    entry: Entry
    definition: InteractionDefinition
    request: Request
    checked: Checked | None = None
    condition: Condition | None = None
    id: str = ""
    exists: bool = False  # what the condition asks for
    result: Result | None = None

    @property
    def writes(self) -> bool:
        """Whether it makes a version, rather than only reading or finding what exists."""
        if self.definition.operation is not None:
            return False
        if self.entry.method == "POST":
            return self.checked is not None and not self.exists
        return self.entry.method in WRITES and bool(self.id)


def placed(refusal: Refusal, index: int) -> list[Issue]:
    """A refusal's issues, located below the entry's resource."""
    place = f"Bundle.entry[{index}]"
    found = []
    for issue in refusal.issues:
        if issue.expression.startswith("Bundle.entry["):
            found.append(issue)
        else:
            element = issue.expression.partition(".")[2]
            path = f"{place}.resource" + (f".{element}" if element else "")
            found.append(replace(issue, expression=path if issue.expression else place))
    return found
