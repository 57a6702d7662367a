"""Launches that an EHR asks for: which program, about which patient, for whom."""

import asyncio
from collections.abc import Mapping

from fhir_server.http.territory import base_url
from fhir_server.identity.administration import Administration, Impossible
from fhir_server.identity.authenticator import Remembering
from fhir_server.identity.issuing import Places
from fhir_server.outcome import Forbidden, Invalid, Issue
from fhir_server.security.gate import bearer
from fhir_server.security.principal import ADMINISTRATOR, SYSTEM, Principal


class Launching:
    """Makes launches for whoever may."""

    def __init__(
        self, administration: Administration, authenticator: Remembering, places: Places, path: str
    ) -> None:
        self._administration = administration
        self._authenticator = authenticator
        self._places = places
        self._path = path

    async def asked(self, headers: Mapping[str, str], form: Mapping[str, str]) -> dict[str, str]:
        """The URL to open. Raises `Unauthorized`, a 403 `Refusal` and `Invalid`."""
        principal = await self._authenticator.principal(bearer(headers))
        tenant = headers.get("x-tenant", "")
        _check(principal, tenant)
        if missing := [name for name in ("client", "patient") if not form.get(name)]:
            raise Invalid(Issue("required", f"The parameter {missing[0]} is missing"))
        url = base_url(self._places.fhir, self._path, f"/t/{tenant}" if tenant else "")
        try:
            made = await asyncio.to_thread(
                self._administration.launch,
                form["client"],
                url,
                form["patient"],
                form.get("encounter", ""),
                form.get("user", ""),
                tenant,
            )
        except Impossible as error:
            raise Invalid(Issue("value", str(error))) from None
        return {"url": made}


def _check(principal: Principal, tenant: str) -> None:
    """Raises a 403 `Refusal` for whoever may not make launches there."""
    theirs = principal.tenants is None or not tenant or tenant in principal.tenants
    if not theirs or not {ADMINISTRATOR, SYSTEM} & principal.roles:
        raise Forbidden(Issue("forbidden", "Making launches is not granted to you"))
