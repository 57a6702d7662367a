"""The routes of the authorization server: `/auth/…`, and where programs find it."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from fhir_server.audit.trail import EXECUTE, SERIOUS_FAILURE, SUCCESS, Audit, Event
from fhir_server.context import Context
from fhir_server.identity import discovery, html
from fhir_server.identity.authorizing import Authorizing, NotLoggedIn, is_proof, proof_of
from fhir_server.identity.granting import OPENID
from fhir_server.identity.html import Page
from fhir_server.identity.issuing import Places
from fhir_server.identity.launching import Launching
from fhir_server.identity.leaving import PARAMETERS, Leaving
from fhir_server.identity.oauth import Answer, Asked, Malformed, Server, read_parameters
from fhir_server.identity.sessions import Refused, Sessions
from fhir_server.identity.userinfo import user_info
from fhir_server.outcome import Refusal
from fhir_server.security.gate import bearer
from fhir_server.security.principal import Principal

_MOST_BYTES = 64 * 1024
# Each password that is looked at takes 64 MiB and a thread for a moment.
_LOGINS_AT_ONCE = 2
_MOST_WAITING = 50
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache", "Referrer-Policy": "no-referrer"}
_REFUSED = "The name or the password is wrong, or it was wrong too often: then wait a while."
_BUSY = "Too many people log in at the moment. Try again in a while."
_EXPIRED = "The form has expired. Go back to the program and begin again."

# RFC 6750 3.1.
_NOT_FOR_OPENID = {
    "WWW-Authenticate": f'Bearer realm="fhir", error="insufficient_scope", scope="{OPENID}"'
}
_ERRORS = {401: "invalid_token", 403: "access_denied", 503: "temporarily_unavailable"}

Handler = Callable[[Request], Awaitable[Response]]


class Routes:
    """The door where tokens are had."""

    def __init__(
        self,
        server: Server,
        sessions: Sessions,
        authorizing: Authorizing,
        launching: Launching,
        audit: Audit,
    ) -> None:
        self._server = server
        self._sessions = sessions
        self._authorizing = authorizing
        self._launching = launching
        self._audit = audit
        self._at_once = asyncio.Semaphore(_LOGINS_AT_ONCE)
        self._waiting = 0
        self._places: Places = server.issuing.places
        self._secure = self._places.issuer.startswith("https://")
        # Nobody but this very host can set a cookie with this prefix (RFC 6265bis 4.1.3.2).
        prefix = "__Host-" if self._secure else ""
        self._session_cookie, self._form_cookie = f"{prefix}fhir-session", f"{prefix}fhir-form"

    def routes(self, fhir: str) -> APIRouter:
        """All of them. fhir: path of the FHIR base URL."""
        routes = APIRouter()

        def add(method: str, path: str, handler: Handler) -> None:
            routes.add_api_route(
                path, _answering(handler), methods=[method],
                include_in_schema=False, response_model=None,
            )  # fmt: skip

        add("GET", "/auth/authorize", self.authorize)
        add("POST", "/auth/login", self.login)
        add("POST", "/auth/decide", self.decide)
        add("GET", "/auth/logout", self.ask_logout)
        add("POST", "/auth/logout", self.logout)
        add("POST", "/auth/token", self.token)
        add("POST", "/auth/introspect", self.introspect)
        add("POST", "/auth/revoke", self.revoke)
        add("GET", "/auth/userinfo", self.userinfo)
        add("POST", "/auth/userinfo", self.userinfo)
        add("GET", "/auth/jwks", self.jwks)
        add("POST", "/auth/launch", self.launch)
        for path in (fhir + discovery.SMART, discovery.SMART):
            add("GET", path, self.smart)
        for path in (discovery.OPENID, discovery.OAUTH):
            add("GET", path, self.openid)
        return routes

    async def authorize(self, request: Request) -> Response:
        """The authorization endpoint."""
        return await self._step(request, request.url.query)

    async def _step(self, request: Request, query: str) -> Response:
        found = await self._authorizing.begin(query, self._secret(request))
        return self._ask_login(request, query, found)

    def _ask_login(
        self, request: Request, query: str, found: Page | Answer | NotLoggedIn, **more: str
    ) -> Response:
        if not isinstance(found, NotLoggedIn):
            return _response(found)
        form = request.cookies.get(self._form_cookie) or secrets.token_urlsafe(32)
        asked = found.asked
        page = html.login_page(
            asked.client.client_id, query, proof_of(form), asked.redirect_uri, **more
        )
        response = _response(page)
        self._set(response, self._form_cookie, form)
        return response

    async def login(self, request: Request) -> Response:
        """A name and a password."""
        form = await _form(request)
        query, name = form.get("request", ""), form.get("name", "").strip().lower()[:200]
        if not is_proof(form.get("proof", ""), request.cookies.get(self._form_cookie)):
            return _response(html.error_page(_EXPIRED, 403))
        asked = await asyncio.to_thread(self._authorizing.asked, query)
        if not isinstance(asked, Asked):
            return _response(asked)
        address = request.client.host if request.client else ""
        if self._waiting >= _MOST_WAITING:
            return _response(html.error_page(_BUSY, 503))
        try:
            secret = await self._log_in(name, form.get("password", ""), address)
        except Refused:
            await self._note(name, address, "login", SERIOUS_FAILURE, "login 403")
            again = NotLoggedIn(asked)
            return self._ask_login(request, query, again, wrong=_REFUSED, name=name)
        await self._note(name, address, "login", SUCCESS)
        response = _redirect(f"/auth/authorize?{urlencode(_logged_in(asked.parameters))}")
        self._set(response, self._session_cookie, secret)
        response.delete_cookie(self._form_cookie, secure=self._secure, httponly=True)
        return response

    async def _log_in(self, name: str, password: str, address: str) -> str:
        """The secret of a new session; few at once. Raises `Refused`."""
        self._waiting += 1
        try:
            async with self._at_once:
                return await asyncio.to_thread(self._sessions.log_in, name, password, address)
        finally:
            self._waiting -= 1

    async def decide(self, request: Request) -> Response:
        """What a user lets a program do."""
        form = await _form(request)
        secret = self._secret(request)
        if secret is not None and not is_proof(form.get("proof", ""), secret):
            return _response(html.error_page(_EXPIRED, 403))
        found = await self._authorizing.decide(form, secret)
        return self._ask_login(request, form.get("request", ""), found)

    async def ask_logout(self, request: Request) -> Response:
        """Where users log out, and where programs send them to."""
        query, secret = request.url.query, self._secret(request)
        leaving = await asyncio.to_thread(self._server.leaving, read_parameters(query))
        found = await asyncio.to_thread(self._sessions.of, secret)
        if found is None or leaving.is_of(found[0]):
            return await self._leave(request, leaving)
        proof = proof_of(secret or "")
        return _response(html.logout_page(found[1].display, query, proof, leaving.then))

    async def logout(self, request: Request) -> Response:
        """End the session, for a user who was asked, or ask for a program that sends its form."""
        form = await _form(request)
        if "proof" not in form:
            asked = {name: form[name] for name in PARAMETERS if name in form}
            return _redirect(f"/auth/logout?{urlencode(asked)}")
        if not is_proof(form["proof"], self._secret(request)):
            return _response(html.error_page(_EXPIRED, 403))
        parameters = read_parameters(form.get("request", ""))
        leaving = await asyncio.to_thread(self._server.leaving, parameters)
        return await self._leave(request, leaving)

    async def _leave(self, request: Request, leaving: Leaving) -> Response:
        """End the session, and what programs do by it."""
        secret = self._secret(request)
        found = await asyncio.to_thread(self._sessions.of, secret)
        if found is not None:
            await asyncio.to_thread(self._sessions.end, secret or "")
            address = request.client.host if request.client else ""
            await self._note(found[1].name, address, "logout", SUCCESS)
        then = leaving.then
        response = _redirect(then) if then else _response(html.logged_out_page())
        response.delete_cookie(self._session_cookie, secure=self._secure, httponly=True)
        return response

    async def token(self, request: Request) -> Response:
        """The token endpoint."""
        form = await _form(request)
        answer = await asyncio.to_thread(self._server.token, request.headers, form)
        if answer.status != 200:
            client, address = form.get("client_id", ""), request.client
            await self._note(client, address.host if address else "", "token", SERIOUS_FAILURE,
                             f"token {answer.status}", kind="client")  # fmt: skip
        return _response(answer)

    async def introspect(self, request: Request) -> Response:
        """Whether a token is good."""
        return await self._about("introspection", request)

    async def revoke(self, request: Request) -> Response:
        """End a token."""
        return await self._about("revocation", request)

    async def _about(self, name: str, request: Request) -> Response:
        form = await _form(request)
        return _response(
            await asyncio.to_thread(self._server.about_token, name, request.headers, form)
        )

    async def userinfo(self, request: Request) -> Response:
        """Who the user of a token is. Raises `Unauthorized`."""
        issuing, standing = self._server.issuing, self._server.standing
        found = await asyncio.to_thread(user_info, issuing, standing, bearer(request.headers))
        if found is None:
            told = json.dumps({"error": "insufficient_scope", "scope": OPENID})
            return Response(told, 403, _NOT_FOR_OPENID | _NO_STORE, "application/json")
        return Response(json.dumps(found), 200, _NO_STORE, "application/json")

    async def launch(self, request: Request) -> Response:
        """A launch, for an EHR that asks for one. Raises `Unauthorized`."""
        form = await _form(request)
        found = await self._launching.asked(request.headers, form)
        return Response(json.dumps(found), 200, _NO_STORE, "application/json")

    async def jwks(self, _: Request) -> Response:
        """The public keys of our tokens."""
        return _json(await asyncio.to_thread(self._server.issuing.keys.public))

    async def smart(self, _: Request) -> Response:
        """SMART's configuration."""
        return _json(discovery.smart_configuration(self._places))

    async def openid(self, _: Request) -> Response:
        """OpenID's configuration."""
        return _json(discovery.openid_configuration(self._places))

    def _secret(self, request: Request) -> str | None:
        return request.cookies.get(self._session_cookie)

    def _set(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, secure=self._secure, httponly=True, samesite="lax")

    async def _note(
        self, name: str, address: str, what: str, outcome: str, reason: str = "",
        kind: str = "user",
    ) -> None:  # fmt: skip
        if self._audit.on:
            shown = "".join(each for each in name if each.isprintable())[:200]
            principal = Principal(f"{kind}:{shown}", frozenset())
            ctx = Context(principal=principal, door="login", address=address)
            await self._audit.note(ctx, Event(EXECUTE, what, outcome=outcome, reason=reason))


def _logged_in(parameters: dict[str, str]) -> dict[str, str]:
    """A request without what asked for a login that has just been."""
    kept = dict(parameters)
    kept.pop("max_age", None)
    prompts = [each for each in kept.pop("prompt", "").split() if each != "login"]
    return kept | ({"prompt": " ".join(prompts)} if prompts else {})


async def _form(request: Request) -> dict[str, str]:
    """A form. Raises `Malformed`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise Malformed("expected a form: application/x-www-form-urlencoded")
    # Browsers say where a form comes from: not from a page of somebody else's.
    if request.headers.get("sec-fetch-site", "none") == "cross-site" and request.cookies:
        raise Malformed("the form is another site's")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise Malformed("the form is too long")
    return read_parameters(body)


def _answering(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Malformed as error:
            told = {"error": "invalid_request", "error_description": str(error)}
            return Response(json.dumps(told), 400, _NO_STORE, "application/json")
        except Refusal as refusal:
            code = _ERRORS.get(refusal.status, "invalid_request")
            told = {"error": code, "error_description": str(refusal)}
            headers = refusal.headers | _NO_STORE
            return Response(json.dumps(told), refusal.status, headers, "application/json")

    return answer


def _response(found: Page | Answer) -> Response:
    if isinstance(found, Page):
        return Response(found.body, found.status, found.headers, "text/html")
    media_type = "application/json" if found.body else None
    headers = {name: value for name, value in found.headers.items() if name != "Content-Type"}
    return Response(found.body, found.status, headers | _NO_STORE, media_type)


def _redirect(url: str) -> Response:
    return Response(status_code=303, headers={"Location": url, **_NO_STORE})


def _json(document: dict[str, Any]) -> Response:
    headers = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
    return Response(json.dumps(document), 200, headers, "application/json")
