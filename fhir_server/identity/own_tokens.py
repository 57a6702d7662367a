"""Whether our own tokens still stand: users, programs and sessions may have ended since."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from fhir_server.identity.claims import local_reference
from fhir_server.identity.issuers import Issuer
from fhir_server.identity.issuing import PERMISSION, Issuing, Places
from fhir_server.identity.own_keys import ACCESS
from fhir_server.identity.tokens import Claims, Verified
from fhir_server.outcome import Unauthorized
from fhir_server.security.principal import ROLES, Principal
from fhir_server.storage.identity import permissions

# The database tells when something ends; this is for the case that it could not.
_BELIEVED_SECONDS = 10.0
_SEEN_EVERY = timedelta(seconds=30)


def own_issuer(places: Places) -> Issuer:
    """Ourselves as an issuer."""
    return Issuer(
        issuer=places.issuer,
        audience=(places.fhir,),
        algorithms=frozenset({ACCESS}),
        token_types=frozenset({"at+jwt"}),
    )


class OwnTokens:
    """Judges our own tokens by what is in the database now."""

    def __init__(self, issuing: Issuing) -> None:
        self._issuing = issuing

    async def judge(self, verified: Verified) -> tuple[Principal, float]:
        """The principal, and seconds. Raises `Unauthorized`."""
        found = await asyncio.to_thread(self.principal, verified.claims)
        if found is None:
            raise Unauthorized("it was revoked, or its session has ended")
        return found, _BELIEVED_SECONDS

    def principal(self, claims: Claims, *, use: bool = True) -> Principal | None:
        """Whom a token tells of; None if it does not stand any more.

        use: whether the user's session is used thereby.
        """
        if PERMISSION in claims:
            return self._user(claims, use)
        with self._issuing.connections.transaction() as connection:
            found = permissions.own_standing(connection, claims["jti"], claims["client_id"])
        if found is None:
            return None
        return Principal(
            name=f"client:{claims['client_id']}",
            roles=_known(found.roles),
            scopes=frozenset(claims["scope"].split()),
            tenants=tuple(found.tenants) or None,
            client=claims["client_id"],
        )

    def _user(self, claims: Claims, use: bool) -> Principal | None:
        issuing = self._issuing
        now = issuing.now()
        with issuing.connections.transaction() as connection:
            found = permissions.standing(
                connection, claims["jti"], claims[PERMISSION], now, issuing.lives.idle
            )
            if found is not None and use:
                permissions.see(connection, claims[PERMISSION], now, _SEEN_EVERY)
        if found is None:
            return None
        tenants = tuple(
            each
            for each in found.tenants
            if found.tenant in ("", each)
            and (not found.client_tenants or each in found.client_tenants)
        )
        return Principal(
            name=f"user:{found.user_name}",
            roles=_known(found.roles),
            scopes=frozenset(claims["scope"].split()),
            tenants=tenants,
            fhir_user=local_reference(found.fhir_user, issuing.places.fhir),
            patient=claims.get("patient", ""),
            client=claims["client_id"],
        )


def _known(roles: Iterable[str]) -> frozenset[str]:
    return ROLES.intersection(roles)
