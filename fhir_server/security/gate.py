"""The gate of a door: from what a request says of itself to who asks, and what they may do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from fhir_server.context import Context
from fhir_server.security.access import UNLIMITED, Access
from fhir_server.security.principal import LOCAL, Principal

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of itself.

    headers: by names in lower case. address: of the peer. tenant: that the path names, if it does.
    """

    headers: Mapping[str, str]
    address: str = ""
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who asks, in which territory, and what they may do there."""

    principal: Principal
    tenant: str
    access: Access

    def into(self, ctx: Context) -> Context:
        """The circumstances of a request, with who asks."""
        return replace(ctx, tenant=self.tenant, principal=self.principal, access=self.access)


class Gate(Protocol):
    """Decides who comes in."""

    async def admit(self, asked: Asked) -> Admitted:
        """Who asks. Raises `Unauthorized`, and a 403 `Refusal` for a territory not theirs."""


_EVERYBODY = Admitted(LOCAL, DEFAULT_TENANT, UNLIMITED)


class OpenGate:
    """Everybody is the local administrator: for a server that only its own machine reaches."""

    async def admit(self, asked: Asked) -> Admitted:
        """The local administrator, whoever asks."""
        return _EVERYBODY
