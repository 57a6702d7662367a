"""The gate of a door: from what a request says of itself to who asks, and what they may do."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from fhir_server.context import Context
from fhir_server.outcome import Forbidden, Issue, Refusal, Unauthorized
from fhir_server.security.access import UNLIMITED, Access
from fhir_server.security.policy import Policy
from fhir_server.security.principal import LOCAL, Principal
from fhir_server.spec.operations import OWN_BASE

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


class Elsewhere(Refusal):
    """Somebody known asks for a territory that is not theirs."""

    def __init__(self, refusal: Refusal, principal: Principal) -> None:
        super().__init__(refusal.issues, status=refusal.status, headers=refusal.headers)
        self.principal = principal


class Authenticator(Protocol):
    """Knows who somebody is by a token."""

    async def principal(self, token: str) -> Principal:
        """Who asks. Raises `Unauthorized`, and `Unavailable` while that cannot be found out."""


class TokenGate:
    """Lets in whoever has a token, for what the policy grants them.

    territories: the tenants there are now.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        policy: Policy,
        territories: Callable[[], Collection[str]],
    ) -> None:
        self._authenticator = authenticator
        self._policy = policy
        self._territories = territories

    async def admit(self, asked: Asked) -> Admitted:
        """Whom the token tells of. Raises `Unauthorized`, and a 403 `Refusal`."""
        principal = await self._authenticator.principal(bearer(asked.headers))
        try:
            tenant = chosen(asked, principal.tenants, self._territories())
        except Refusal as refusal:
            raise Elsewhere(refusal, principal) from None
        return Admitted(principal, tenant, self._policy.access(principal))


def bearer(headers: Mapping[str, str]) -> str:
    """The access token of a request (RFC 6750 2.1: only in the header, which no log has).

    Raises `Unauthorized` where there is none.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized()
    return token.strip()


def chosen(asked: Asked, allowed: Collection[str] | None, territories: Collection[str]) -> str:
    """The territory that a request is about: by its path, by the header `X-Tenant`, or the first.

    allowed: those of the principal; None for every one. Raises a 403 `Refusal`, the same for a
    territory that is not theirs and for one that does not exist.
    """
    header = asked.headers.get("x-tenant")
    if asked.tenant and header not in (None, asked.tenant):
        text = f"The path is of the territory {asked.tenant!r}, the header X-Tenant says {header!r}"
        raise Forbidden(Issue("invalid", text, details=_MISMATCH))
    wanted = asked.tenant or header
    if wanted is None:
        wanted = next(iter(allowed), "") if allowed is not None else DEFAULT_TENANT
    if wanted not in territories or (allowed is not None and wanted not in allowed):
        text = "This territory is not yours; expected one that your access token names"
        raise Forbidden(Issue("forbidden", text, details=_MISMATCH))
    return wanted


_MISMATCH = (f"{OWN_BASE}/CodeSystem/workflow-error", "TERRITORY_MISMATCH")
_EVERYBODY = Admitted(LOCAL, DEFAULT_TENANT, UNLIMITED)
# Whoever asks for what everybody may know.
NOBODY = Admitted(Principal("nobody", frozenset()), DEFAULT_TENANT, Access(((),), frozenset()))
_ONLY = (DEFAULT_TENANT,)


class OpenGate:
    """Everybody is the local administrator: for a server that only its own machine reaches.

    territories: the tenants there are now.
    """

    def __init__(self, territories: Callable[[], Collection[str]] = lambda: _ONLY) -> None:
        self._territories = territories

    async def admit(self, asked: Asked) -> Admitted:
        """The local administrator, whoever asks. Raises a 403 `Refusal` for no such territory."""
        if asked.tenant is None and "x-tenant" not in asked.headers:
            return _EVERYBODY
        return replace(_EVERYBODY, tenant=chosen(asked, None, self._territories()))
