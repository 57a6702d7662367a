"""Rules that writes of some types have to pass, whatever door they came in by.

Interactions know that there are rules, not which: the composition root gives them to the Engine.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.outcome import Issue, Refusal
from fhir_server.storage.numbers import Claim
from fhir_server.storage.resources import Stored
from fhir_server.storage.store import Connection

if TYPE_CHECKING:
    from fhir_server.interactions.engine import Engine

Resource = dict[str, Any]


@dataclass(slots=True)
class Change:
    """What is to become of one identity.

    old: its current version, locked by the caller's transaction; None when there never was one.
    new: what it shall be, without the stamp of a version; None deletes it.
    method: the verb that history tells.
    claims: numbers to be claimed by the statement that stores it, if they are not claimed yet.
    """

    type: str
    id: str
    old: Stored | None
    new: Resource | None
    method: str
    claims: Sequence[Claim] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """Type and id."""
        return self.type, self.id

    @property
    def reference(self) -> str:
        """`Type/id`."""
        return f"{self.type}/{self.id}"

    def before(self) -> Resource | None:
        """The resource as it is now; None when it does not exist or is deleted."""
        if self.old is None or self.old.content is None:
            return None
        resource: Resource = decode(self.old.content)
        return resource


class RuleRefused(Refusal):
    """A change that a rule forbids; `source` is the `Type/id` of the resource it was to change."""

    def __init__(self, issues: Issue | Sequence[Issue], *, status: int, source: str) -> None:
        super().__init__(issues, status=status)
        self.source = source


class Rules(Protocol):
    """What decides over writes."""

    @property
    def types(self) -> Collection[str]:
        """Types of which every update and deletion has to be handed over."""

    def concern(self, resource: Resource) -> bool:
        """Whether storing a resource has to be handed over, whatever its type."""

    def stands_alone(self, resource: Resource) -> bool:
        """Whether creating a resource that concerns rules locks and changes nothing that exists.

        Then `apply` may be called outside of a transaction: all that it gives back is stored by
        one statement.
        """

    def profiles(self, resource: Resource) -> tuple[str, ...]:
        """Canonicals of profiles that a resource must conform to, beside those it claims."""

    async def prepare(self, engine: "Engine", ctx: Context, created: Sequence[Resource]) -> None:
        """Do what must be committed before the transaction that may create resources begins."""

    async def apply(
        self,
        engine: "Engine",
        ctx: Context,
        connection: Connection,
        changes: Sequence[Change],
        others: Sequence[Change] = (),
    ) -> Sequence[Change]:
        """The changes to store: those given, perhaps amended, and what follows from them.

        Called once a transaction, with references settled; `ctx` has one time.
        others: what else the transaction stores, which concerns no rule. Raises `Refusal`.
        """


def ruled(rules: Rules, type_: str, resource: Resource) -> bool:
    """Whether an update has to be handed over."""
    return type_ in rules.types or rules.concern(resource)


class NoRules:
    """Everything may be written."""

    types: Collection[str] = ()

    def concern(self, resource: Resource) -> bool:
        """No resource concerns no rule."""
        return False

    def stands_alone(self, resource: Resource) -> bool:
        """No resource concerns a rule."""
        return False

    def profiles(self, resource: Resource) -> tuple[str, ...]:
        """No profiles."""
        return ()

    async def prepare(self, engine: "Engine", ctx: Context, created: Sequence[Resource]) -> None:
        """Nothing to prepare."""

    async def apply(
        self,
        engine: "Engine",
        ctx: Context,
        connection: Connection,
        changes: Sequence[Change],
        others: Sequence[Change] = (),
    ) -> Sequence[Change]:
        """The changes as they are."""
        return changes
