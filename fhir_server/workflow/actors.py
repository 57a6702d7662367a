"""Who does a step, and what they may do (the roles of `profiles/workflow/roles.json`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.workflow.refusals import not_permitted
from fhir_server.workflow.states import Roles, Step

Resource = dict[str, Any]

SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who asks for a step.

    reference: who it is: a reference, or the display of who is logged in.
    roles: what they act as. principal: who is logged in. allowed: the roles of who is logged in.
    """

    reference: Mapping[str, Any]
    roles: frozenset[str]
    principal: str
    allowed: frozenset[str]

    @property
    def skips(self) -> bool:
        """Whether it is a system, which may take several steps at once."""
        return self.roles == {SYSTEM} and SYSTEM in self.allowed

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from others."""
        return self.principal, str(self.reference.get("reference", ""))


def unnamed(principal: str, allowed: frozenset[str]) -> Actor:
    """Who is logged in, where nobody else is named."""
    return Actor({"display": principal}, allowed, principal, allowed)


def check_permitted(actor: Actor, step: Step, what: str) -> None:
    """Raises a 403 `Refusal` unless the actor, and who is logged in, may do a step."""
    permitted = set(step.roles)
    for whose, roles in (("the actor", actor.roles), ("who is logged in", actor.allowed)):
        if not permitted & roles:
            has = ", ".join(sorted(roles)) or "no role"
            text = f"{what} is for {', '.join(step.roles)}; {whose} is {has}"
            raise not_permitted(text)


def roles_of(roles: Roles, practitioner_roles: Iterable[Resource]) -> frozenset[str]:
    """What PractitionerRoles that are in use make of somebody."""
    known = {(each.system, each.code): each.role for each in roles.codes}
    return frozenset(
        known[coding.get("system", ""), coding.get("code", "")]
        for each in practitioner_roles
        if each.get("active", True)
        for concept in each.get("code", ())
        for coding in concept.get("coding", ())
        if (coding.get("system", ""), coding.get("code", "")) in known
    )


def is_active(resource: Resource) -> bool:
    """Whether a practitioner, role, organization or device is in use."""
    if resource["resourceType"] == "Device":
        return bool(resource.get("status", "active") == "active")
    return bool(resource.get("active", True))
