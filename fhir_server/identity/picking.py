"""Patients that a user may choose, found as they would find them by FHIR."""

import json
from collections.abc import Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.identity.html import Choice
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.performing import perform
from fhir_server.outcome import Refusal
from fhir_server.security.policy import Policy
from fhir_server.security.principal import ROLES, Principal
from fhir_server.storage.identity.people import User

_MOST = "20"


class FoundPatients:
    """Searches a territory as a user would."""

    def __init__(self, engine: Engine, policy: Policy, base_url: str) -> None:
        self._engine = engine
        self._policy = policy
        self._base_url = base_url

    async def find(self, user: User, tenant: str, text: str) -> Sequence[Choice]:
        """Those of a name or number that the user may see."""
        text = text.strip()[:200]
        found = await self._search(user, tenant, [("name", text)])
        return found or await self._search(user, tenant, [("identifier", text)])

    async def of(self, user: User, tenant: str, id_: str) -> Choice | None:
        """One of them; None if there is none like it for this user."""
        found = await self._search(user, tenant, [("_id", id_)]) if id_ else ()
        return found[0] if len(found) == 1 and found[0].id == id_ else None

    async def _search(
        self, user: User, tenant: str, query: list[tuple[str, str]]
    ) -> Sequence[Choice]:
        principal = Principal(
            f"user:{user.name}", ROLES.intersection(user.roles), fhir_user=user.fhir_user
        )
        ctx = Context(
            tenant=tenant,
            principal=principal,
            access=self._policy.access(principal),
            door="login",
            base_url=self._base_url,
        )
        definition, request = self._engine.router.route("GET", ["Patient"])
        request.query = [(name, _literal(value)) for name, value in query]
        request.query += [("_count", _MOST), ("_total", "none")]
        try:
            result = await perform(self._engine, ctx, definition, request)
        except Refusal:
            return ()
        entries = json.loads(result.body or b"{}").get("entry", ())
        return [_choice(each["resource"]) for each in entries]


def _literal(value: str) -> str:
    """A search value that stands for itself (R4 search.html#escaping)."""
    for sign in "\\,|$":
        value = value.replace(sign, "\\" + sign)
    return value


def _choice(patient: dict[str, Any]) -> Choice:
    names = [_name(each) for each in patient.get("name", ())]
    parts = [next(filter(None, names), "without a name"), patient.get("birthDate", "")]
    numbers = [each.get("value", "") for each in patient.get("identifier", ())]
    parts += numbers[:1]
    return Choice(patient["id"], ", ".join(filter(None, parts)))


def _name(name: dict[str, Any]) -> str:
    return name.get("text") or " ".join((*name.get("given", ()), name.get("family", ""))).strip()
