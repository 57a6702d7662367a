"""From an authorization request to a code: who is it, what may the program do, about whom."""

import asyncio
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidRequestError, InvalidScopeError
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError

from fhir_server.identity import html
from fhir_server.identity.granting import (
    LAUNCH,
    explained,
    grantable,
    needs_patient,
)
from fhir_server.identity.grants import Decision
from fhir_server.identity.html import Choice, Page
from fhir_server.identity.oauth import Answer, Asked, Malformed, Server, read_parameters
from fhir_server.identity.sessions import Sessions
from fhir_server.security.scopes import PATIENT, USER, InvalidScope
from fhir_server.storage.identity import programs
from fhir_server.storage.identity.connections import hashed
from fhir_server.storage.identity.people import Session, User
from fhir_server.storage.identity.programs import Launch, Program

# What stands between the issuer and the path of FHIR in the base URL of a territory.
_IN_TERRITORY = re.compile(r"(?:/t/([a-z][a-z0-9_]{0,39}))?")


class Patients(Protocol):
    """Finds patients for a user, among those that they may see."""

    async def find(self, user: User, tenant: str, text: str) -> Sequence[Choice]:
        """Those of a name or number."""

    async def of(self, user: User, tenant: str, id_: str) -> Choice | None:
        """One of them; None if there is none like it for this user."""


@dataclass(frozen=True, slots=True)
class NotLoggedIn:
    """A request that goes on once its user has logged in."""

    asked: Asked


@dataclass(frozen=True, slots=True)
class Ready:
    """A request that waits for a user's decision.

    scopes: those that may be granted. tenant: the territory that it is about.
    bound: whether the program named it.
    """

    asked: Asked
    user: User
    session: Session
    scopes: Sequence[str]
    patient: str
    encounter: str
    launch: bytes | None
    tenant: str
    bound: bool

    @property
    def picks(self) -> bool:
        """Whether the user has to choose a patient."""
        return not self.patient and needs_patient(self.scopes)

    def decision(self, scopes: Sequence[str], patient: str = "") -> Decision:
        """What is stored if the user lets the program have some of the scopes."""
        about = needs_patient(scopes) or LAUNCH in scopes
        return Decision(
            self.user,
            self.session.id,
            " ".join(scopes),
            (patient or self.patient) if about else "",
            self.encounter if about else "",
            self.launch,
            # The id of a patient means nothing in another territory.
            self.tenant if about or self.bound else "",
        )


def proof_of(secret: str) -> str:
    """What a form carries that only a page of ours can, for whoever has a cookie."""
    return hmac.new(secret.encode(), b"form", "sha256").hexdigest()


def is_proof(proof: str, secret: str | None) -> bool:
    """Whether a form was ours."""
    return bool(secret) and hmac.compare_digest(proof.encode(), proof_of(secret or "").encode())


class Authorizing:
    """The authorization endpoint."""

    def __init__(self, server: Server, sessions: Sessions, patients: Patients) -> None:
        self._server = server
        self._sessions = sessions
        self._patients = patients

    async def begin(self, query: str, secret: str | None) -> Page | Answer | NotLoggedIn:
        """What comes of a request. secret: of the session, if there is one."""
        found = await asyncio.to_thread(self._examine, query, secret)
        if not isinstance(found, Ready):
            return found
        if found.asked.client.program.trusted and not found.picks:
            return await self._allowed(found, found.decision(found.scopes))
        if "none" in _prompts(found.asked):
            return self._server.refused(found.asked, ConsentRequiredError())
        return _consent(found, query, secret)

    async def decide(
        self, form: Mapping[str, str], secret: str | None
    ) -> Page | Answer | NotLoggedIn:
        """What comes of a user's decision. The form has been proved to be ours."""
        query = form.get("request", "")
        found = await asyncio.to_thread(self._examine, query, secret)
        if not isinstance(found, Ready):
            return found
        if form.get("decision") == "deny":
            return await asyncio.to_thread(self._server.denied, found.asked)
        if form.get("decision") == "find":
            return await self._find(found, form, secret)
        scopes = [each for each in found.scopes if f"scope:{each}" in form]
        if not scopes:
            return await asyncio.to_thread(self._server.denied, found.asked)
        chosen = None
        if found.picks and needs_patient(scopes):
            chosen = await self._patients.of(found.user, found.tenant, form.get("patient", ""))
            if chosen is None:
                return await self._find(found, form, secret, wrong="Choose a patient.")
        return await self._allowed(found, found.decision(scopes, chosen.id if chosen else ""))

    async def _find(
        self, found: Ready, form: Mapping[str, str], secret: str | None, wrong: str = ""
    ) -> Page:
        text = form.get("find", "")
        choices = None
        if text.strip():
            choices = await self._patients.find(found.user, found.tenant, text)
        picker = html.patient_picker(choices, text, form.get("patient", ""), wrong)
        chosen = [each for each in found.scopes if f"scope:{each}" in form]
        return _consent(found, form.get("request", ""), secret, picker, chosen)

    async def _allowed(self, found: Ready, decision: Decision) -> Answer:
        return await asyncio.to_thread(self._server.allowed, found.asked, decision)

    def asked(self, query: str, user: User | None = None) -> Asked | Page | Answer:
        """A request that makes sense, or the answer to one that makes none."""
        try:
            return self._server.asked(read_parameters(query), user)
        except Malformed as error:
            return html.error_page(f"The request makes no sense: {error}.")
        except LoginRequiredError as error:
            return self._server.failed(error)
        except OAuth2Error as error:
            if error.redirect_uri:
                return self._server.failed(error)
            # Nobody is sent to where the program does not say that it is (RFC 9700 4.11).
            return html.error_page(error.description or str(error.error))

    def _examine(self, query: str, secret: str | None) -> Page | Answer | NotLoggedIn | Ready:
        logged_in = self._sessions.of(secret)
        asked = self.asked(query, logged_in[1] if logged_in else None)
        if not isinstance(asked, Asked):
            return asked
        try:
            named = self._territory(asked)
            launch = self._launch(asked, logged_in[1] if logged_in else None)
            scopes = self._scopes(asked, launch)
        except OAuth2Error as error:
            return self._server.refused(asked, error)
        if logged_in is None or self._is_stale(asked, logged_in[0]):
            if "none" in _prompts(asked):
                return self._server.refused(asked, LoginRequiredError())
            return NotLoggedIn(asked)
        session, user = logged_in
        territories = _territories(user, asked.client.program)
        named = named or (launch.tenant if launch else "")
        if not territories or (named and named not in territories):
            return self._server.refused(asked, AccessDeniedError())
        own = user.fhir_user.removeprefix("Patient/")
        patient = launch.patient if launch else own if own != user.fhir_user else ""
        encounter = launch.encounter if launch else ""
        used = hashed(asked.parameters["launch"]) if launch else None
        if not (launch or needs_patient(scopes)):
            patient = ""
        tenant = named or territories[0]
        return Ready(asked, user, session, scopes, patient, encounter, used, tenant, bool(named))

    def _territory(self, asked: Asked) -> str:
        """The territory that a program wants; empty if it names none.

        SMART: a program says whose data it wants, lest a false server gets a true token.
        """
        places = self._server.issuing.places
        given = asked.parameters.get("aud")
        if given is None and "/" not in asked.parameters.get("scope", ""):
            return ""
        below = places.fhir.removeprefix(places.issuer)
        url = (given or "").rstrip("/")
        match = _IN_TERRITORY.fullmatch(url.removeprefix(places.issuer).removesuffix(below))
        if url.startswith(places.issuer) and url.endswith(below) and match:
            return match[1] or ""
        raise InvalidRequestError("The parameter 'aud' has to be the base URL of FHIR here.")

    def _launch(self, asked: Asked, user: User | None) -> Launch | None:
        given = asked.parameters.get("launch")
        if given is None:
            return None
        issuing = self._server.issuing
        with issuing.connections.transaction() as connection:
            found = programs.launch(connection, hashed(given), issuing.now())
        client = asked.client.client_id
        someone_elses = user and found and found.user_name not in ("", user.name)
        if found is None or found.client != client or someone_elses:
            raise InvalidRequestError("The launch is unknown, used, or another's.")
        return found

    def _scopes(self, asked: Asked, launch: Launch | None) -> list[str]:
        given, most = asked.parameters.get("scope", ""), asked.client.program.scopes
        try:
            found = grantable(given, most, [PATIENT, USER])
        except InvalidScope:
            raise InvalidScopeError from None
        if launch is None:
            found = [each for each in found if each != LAUNCH]
        elif not launch.patient:
            found = [each for each in found if not needs_patient([each])]
        if not found:
            raise InvalidScopeError("None of the scopes asked for is granted to this client.")
        return found

    def _is_stale(self, asked: Asked, session: Session) -> bool:
        """Whether the user has to log in although they have."""
        if "login" in _prompts(asked):
            return True
        longest = asked.parameters.get("max_age", "")
        age = (self._server.issuing.now() - session.started).total_seconds()
        return longest.isdecimal() and age > int(longest[:10])


def _territories(user: User, program: Program) -> list[str]:
    """Those in which a program may act for a user."""
    return [each for each in user.tenants if not program.tenants or each in program.tenants]


def _prompts(asked: Asked) -> list[str]:
    return asked.parameters.get("prompt", "").split()


def _consent(
    found: Ready,
    query: str,
    secret: str | None,
    picker: str = "",
    chosen: Sequence[str] | None = None,
) -> Page:
    if found.picks and not picker:
        picker = html.patient_picker(None, "")
    return html.consent_page(
        found.asked.client.client_id,
        found.user.display or found.user.name,
        [(each, explained(each), chosen is None or each in chosen) for each in found.scopes],
        query,
        proof_of(secret or ""),
        found.asked.redirect_uri,
        picker,
    )
