"""What knows who somebody is, wired: the trusted issuers, and ourselves if we are one."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from fhir_server.audit.trail import Audit
from fhir_server.identity import discovery
from fhir_server.identity.administration import Administration
from fhir_server.identity.authenticator import Remembering, trusting
from fhir_server.identity.authorizing import Authorizing, Patients
from fhir_server.identity.issuers import Issuer
from fhir_server.identity.issuing import Issuing, Lives, Places
from fhir_server.identity.jwks import fetch
from fhir_server.identity.launching import Launching
from fhir_server.identity.oauth import Server
from fhir_server.identity.own_keys import OwnKeys
from fhir_server.identity.own_tokens import OwnTokens, own_issuer
from fhir_server.identity.routes import Routes
from fhir_server.identity.sessions import Sessions
from fhir_server.identity.tokens import Trusted, Verifier
from fhir_server.outcome import Refusal
from fhir_server.storage.identity import permissions
from fhir_server.storage.identity.connections import CHANGED, Connections
from fhir_server.storage.listen import Listener, Wake

log = logging.getLogger(__name__)

_CLEANED_EVERY_SECONDS = 600.0
# Used codes and refresh tokens are known for so long, to notice who uses them again.
_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Who is believed. fhir: path of the FHIR base URL. issuers: beside ourselves, if we are."""

    places: Places
    fhir: str
    issuers: Sequence[Issuer] = ()
    lives: Lives = field(default_factory=Lives)


class Identities(Protocol):
    """What knows who somebody is, as the composition root needs it."""

    @property
    def authenticator(self) -> Remembering:
        """Knows who somebody is by a token."""

    @property
    def routes(self) -> APIRouter:
        """Beside FHIR, and below it where programs find their way."""

    async def run(self) -> None:
        """What goes on beside requests, until cancelled."""


class Embedded:
    """We give tokens ourselves; other issuers may be trusted too."""

    def __init__(
        self,
        settings: IdentitySettings,
        database_url: str,
        listener: Listener,
        patients: Patients,
        audit: Audit,
    ) -> None:
        places = settings.places
        self._connections = Connections(database_url)
        self._keys = OwnKeys(self._connections)
        self._issuing = Issuing(self._connections, self._keys, places, settings.lives)
        standing = OwnTokens(self._issuing)
        ours = Trusted(own_issuer(places), self._keys)
        verifier = Verifier(trusting(settings.issuers) | {places.issuer: ours})
        self.authenticator = Remembering(verifier, places.fhir, {places.issuer: standing})
        token_url = discovery.endpoints(places)["token_endpoint"]
        server = Server(self._issuing, standing, token_url)
        sessions = Sessions(self._connections, settings.lives.idle)
        authorizing = Authorizing(server, sessions, patients)
        administration = Administration(self._connections)
        launching = Launching(administration, self.authenticator, places, settings.fhir)
        routes = Routes(server, sessions, authorizing, launching, audit)
        self.routes = routes.routes(settings.fhir)
        self._changed: Wake = listener.on(CHANGED)
        self._ours = places.issuer

    async def run(self) -> None:
        """Forget verdicts when something ends, and remove what nobody can use any more."""
        clock = asyncio.get_running_loop().time
        cleaned = clock()
        try:
            while True:
                await self._changed.wait(_CLEANED_EVERY_SECONDS)
                self._keys.forget()
                self.authenticator.forget(self._ours)
                if clock() - cleaned > _CLEANED_EVERY_SECONDS:
                    cleaned = clock()
                    await asyncio.to_thread(self._clean)
        finally:
            self._connections.close()

    def _clean(self) -> None:
        try:
            with self._connections.transaction() as connection:
                lives = self._issuing.lives
                permissions.clean(connection, self._issuing.now(), lives.idle, _KEPT)
        except Refusal as error:
            log.warning("what has expired is not removed: %s", error)


class External:
    """OpenID providers give the tokens."""

    def __init__(self, settings: IdentitySettings) -> None:
        self.authenticator = Remembering(Verifier(trusting(settings.issuers)), settings.places.fhir)
        self._issuer = settings.issuers[0].issuer
        self._told: dict[str, Any] | None = None
        self.routes = APIRouter()
        for path in (settings.fhir + discovery.SMART, discovery.SMART):
            self.routes.add_api_route(
                path, self.smart, include_in_schema=False, response_model=None
            )

    async def smart(self, _: Request) -> Response:
        """SMART's configuration, from what the first provider tells of itself."""
        if self._told is None:
            base = self._issuer.removesuffix("/")
            try:
                async with httpx.AsyncClient(timeout=5.0) as client:
                    told = await fetch(client, f"{base}{discovery.OPENID}")
            except (httpx.HTTPError, ValueError) as error:
                log.warning("%s does not tell of itself: %s", self._issuer, error)
                return JSONResponse({"error": "the identity provider does not answer"}, 503)
            self._told = discovery.smart_of_provider(told)
        return JSONResponse(self._told, headers={"Access-Control-Allow-Origin": "*"})

    async def run(self) -> None:
        """Nothing goes on."""
        await asyncio.Event().wait()
