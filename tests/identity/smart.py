"""A SMART application and the browser of its user, by hand: each step can be spoilt."""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from lxml import html

ROOT = "http://localhost:8080"
BASE = f"{ROOT}/fhir"
REDIRECT = "https://app.example.org/done"
PASSWORD = "correct-Horse-7"
SCOPES = "openid fhirUser launch/patient patient/*.rs user/*.rs offline_access"


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(slots=True)
class Form:
    """A form of a page, as a browser would send it."""

    action: str
    fields: dict[str, str]


def form_of(answer: httpx.Response) -> Form:
    assert answer.headers["content-type"].startswith("text/html"), answer.text
    page: Any = html.fromstring(answer.text)
    found = page.forms[0]
    return Form(found.action, {name: value for name, value in found.fields.items() if value})


def labels_of(answer: httpx.Response) -> list[str]:
    page: Any = html.fromstring(answer.text)
    return [each.text_content().strip() for each in page.iter("label")]


def returned(answer: httpx.Response) -> dict[str, str]:
    """The parameters with which the browser is sent back."""
    assert answer.status_code == 303, answer.text
    url = answer.headers["location"]
    assert url.startswith(REDIRECT), url
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@dataclass(slots=True)
class Smart:
    """An application and its user's browser."""

    browser: httpx.AsyncClient
    client_id: str = "app"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def request(self, **more: str | None) -> dict[str, str]:
        given: Mapping[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "scope": SCOPES,
            "state": "af0ifjsldkj",
            "aud": BASE,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **more,
        }
        return {name: value for name, value in given.items() if value is not None}

    async def authorize(self, **more: str | None) -> httpx.Response:
        """What the authorization endpoint answers."""
        return await self.browser.get(f"/auth/authorize?{urlencode(self.request(**more))}")

    async def log_in(
        self, page: httpx.Response, name: str = "anna", password: str = PASSWORD
    ) -> httpx.Response:
        """Fill the login form in; what the browser is then shown."""
        form = form_of(page)
        assert form.action == "/auth/login"
        answer = await self.post(form, name=name, password=password)
        if answer.status_code == 303 and answer.headers["location"].startswith("/auth/authorize"):
            return await self.browser.get(answer.headers["location"])
        return answer

    async def post(self, form: Form, **fields: str) -> httpx.Response:
        return await self.browser.post(form.action, data={**form.fields, **fields})

    async def decide(self, page: httpx.Response, decision: str, **fields: str) -> httpx.Response:
        form = form_of(page)
        assert form.action == "/auth/decide", page.text
        return await self.post(form, decision=decision, **fields)

    async def code(self, patient: str = "", **more: str | None) -> str:
        """A code, with all that has to be done for it."""
        page = await self.authorize(**more)
        if page.status_code == 200 and form_of(page).action == "/auth/login":
            page = await self.log_in(page)
        answer = page if page.status_code == 303 else await self._allow(page, patient)
        return returned(answer)["code"]

    async def _allow(self, page: httpx.Response, patient: str) -> httpx.Response:
        return await self.decide(page, "allow", **({"patient": patient} if patient else {}))

    async def exchange(self, code: str, /, **more: str | None) -> httpx.Response:
        """What the token endpoint answers to a code."""
        given: Mapping[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
            **more,
        }
        return await self.token({name: text for name, text in given.items() if text is not None})

    async def token(self, form: Mapping[str, str], **given: Any) -> httpx.Response:
        return await self.browser.post("/auth/token", data=dict(form), **given)

    async def refresh(self, token: str, **more: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self.client_id}
        return await self.token(form | more)

    async def tokens(self, patient: str = "p1", **more: str | None) -> dict[str, Any]:
        """Tokens, with all that has to be done for them."""
        answer = await self.exchange(await self.code(patient, **more))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def read(self, token: str, path: str = "Patient/p1") -> httpx.Response:
        """What FHIR answers to a token, without a cookie."""
        headers = {"Authorization": f"Bearer {token}"}
        self.browser.cookies, kept = httpx.Cookies(), self.browser.cookies
        try:
            return await self.browser.get(f"/fhir/{path}", headers=headers)
        finally:
            self.browser.cookies = kept


async def ended(smart: Smart, token: str) -> None:
    """A token is refused within two seconds."""
    for _ in range(40):
        if (await smart.read(token)).status_code == 401:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the token is still accepted")


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
