"""Whom a gate does not let in, as events of the trail."""

from fhir_server.audit.trail import EXECUTE, MINOR_FAILURE, Audit, Event
from fhir_server.context import Context
from fhir_server.outcome import Refusal
from fhir_server.security.gate import DEFAULT_TENANT, Admitted, Asked, Elsewhere, Gate
from fhir_server.security.principal import Principal

UNKNOWN = Principal("unknown", frozenset())
_DENIED = (401, 403)


class NotedGate:
    """A gate whose refusals are noted: in the first territory, since nobody has entered one."""

    def __init__(self, gate: Gate, audit: Audit) -> None:
        self._gate = gate
        self._audit = audit

    async def admit(self, asked: Asked) -> Admitted:
        """Who asks. Raises as the gate does."""
        try:
            return await self._gate.admit(asked)
        except Refusal as refusal:
            if refusal.status in _DENIED:
                await self._note(asked, refusal)
            raise

    async def _note(self, asked: Asked, refusal: Refusal) -> None:
        principal = refusal.principal if isinstance(refusal, Elsewhere) else UNKNOWN
        ctx = Context(DEFAULT_TENANT, principal, door="login", address=asked.address)
        reason = f"{refusal.issues[0].code} {refusal.status}"
        event = Event(EXECUTE, "enter", outcome=MINOR_FAILURE, reason=reason)
        await self._audit.note(ctx, event)
