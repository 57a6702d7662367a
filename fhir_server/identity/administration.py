"""What an administrator does with users and programs."""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from fhir_server.identity.claims import local_reference
from fhir_server.identity.clients import METHODS, PRIVATE_KEY_JWT
from fhir_server.identity.discovery import GRANTS
from fhir_server.identity.granting import check_scopes
from fhir_server.identity.jwks import read_keys
from fhir_server.identity.own_keys import OwnKeys, system_now
from fhir_server.identity.passwords import check_password, hash_password
from fhir_server.security.principal import ROLES
from fhir_server.storage.identity import people, programs
from fhir_server.storage.identity.connections import Connections, hashed
from fhir_server.storage.identity.people import User
from fhir_server.storage.identity.programs import Launch, Program

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
# Neither wildcards nor what would end a directive of a Content-Security-Policy.
_REDIRECT_URI = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&()+=%-]+")
_TENANT = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Of RFC 8252 7: the loopback, https, or a scheme that is an application's own.
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LAUNCH_LIFE = timedelta(minutes=5)


class Impossible(ValueError):
    """What an administrator asked for cannot be; says why."""


@dataclass(frozen=True, slots=True)
class NewProgram:
    """A program to be added. keys: its JWK set, where it is not at `jwks_url`."""

    id: str
    scopes: str
    method: str
    grants: Sequence[str] = ("authorization_code", "refresh_token")
    redirect_uris: Sequence[str] = ()
    keys: dict[str, Any] | None = None
    jwks_url: str | None = None
    launch_url: str | None = None
    roles: Sequence[str] = ()
    tenants: Sequence[str] = ()
    trusted: bool = False


class Administration:
    """Changes users and programs. All raise `Impossible` for what cannot be, or a ValueError."""

    def __init__(self, connections: Connections, now: Callable[[], datetime] = system_now) -> None:
        self._connections = connections
        self._now = now

    def add_user(
        self,
        name: str,
        password: str,
        roles: Sequence[str],
        tenants: Sequence[str] = ("default",),
        fhir_user: str = "",
        display: str = "",
    ) -> None:
        """Add somebody who logs in."""
        _check_name(name)
        check_password(password, name)
        new = User(
            name,
            hash_password(password),
            display or name,
            _roles(roles),
            _tenants(tenants),
            _fhir_user(fhir_user),
            False,
            self._now(),
        )
        with self._connections.transaction() as connection:
            # A program of that name could pass itself off as the user (RFC 9700 4.15).
            taken = programs.program(connection, name) is not None
            if taken or not people.add_user(connection, new):
                raise Impossible(f"there is a user or a program {name} already")

    def users(self) -> list[User]:
        """All of them."""
        with self._connections.transaction() as connection:
            return people.users(connection)

    def change_password(self, name: str, password: str) -> None:
        """Give somebody another password, and end their sessions."""
        check_password(password, name)
        self._change(name, password=hash_password(password))
        self.sign_out(name)

    def disable_user(self, name: str, disabled: bool) -> None:
        """Whether somebody may not log in; if so their sessions end."""
        self._change(name, disabled=disabled)
        if disabled:
            self.sign_out(name)

    def change_roles(self, name: str, roles: Sequence[str]) -> None:
        """Give somebody other roles, at once."""
        self._change(name, roles=_roles(roles))

    def change_tenants(self, name: str, tenants: Sequence[str]) -> None:
        """Let somebody into other territories, at once."""
        self._change(name, tenants=_tenants(tenants))

    def change_fhir_user(self, name: str, reference: str) -> None:
        """Say who somebody is in the records."""
        self._change(name, fhir_user=_fhir_user(reference))

    def sign_out(self, name: str) -> None:
        """End somebody's sessions, and what programs do for them."""
        with self._connections.transaction() as connection:
            people.sign_out(connection, name)

    def unlock(self, name: str) -> None:
        """Let somebody try a password at once, after too many wrong ones."""
        with self._connections.transaction() as connection:
            people.forgive(connection, f"user:{name}")

    def _change(self, name: str, **changes: Any) -> None:
        with self._connections.transaction() as connection:
            found = people.user(connection, name)
            if found is None:
                raise Impossible(f"there is no user {name}")
            people.change_user(connection, replace(found, **changes))

    def add_program(self, new: NewProgram) -> str | None:
        """Add a program; its secret, if its method needs one, which nobody can see again."""
        _check_program(new)
        secret = secrets.token_urlsafe(32) if new.method.startswith("client_secret") else None
        row = Program(
            new.id,
            new.method,
            hashed(secret) if secret else None,
            new.keys,
            new.jwks_url,
            list(new.redirect_uris),
            new.launch_url,
            check_scopes(new.scopes),
            list(new.grants),
            _roles(new.roles) if new.roles else ["system"],
            [each for each in new.tenants if _is_tenant(each)],
            new.trusted,
            False,
            self._now(),
        )
        with self._connections.transaction() as connection:
            taken = people.user(connection, new.id) is not None
            if taken or not programs.add_program(connection, row):
                raise Impossible(f"there is a user or a program {new.id} already")
        return secret

    def programs(self) -> list[Program]:
        """All of them."""
        with self._connections.transaction() as connection:
            return programs.programs(connection)

    def disable_program(self, id_: str, disabled: bool) -> None:
        """Whether a program gets no tokens, and those it has are refused."""
        self._program(id_)
        with self._connections.transaction() as connection:
            programs.disable_program(connection, id_, disabled)

    def change_secret(self, id_: str) -> str:
        """Give a program another secret."""
        if self._program(id_).secret is None:
            raise Impossible(f"{id_} proves itself without a secret")
        secret = secrets.token_urlsafe(32)
        with self._connections.transaction() as connection:
            programs.change_secret(connection, id_, hashed(secret))
        return secret

    def launch(
        self,
        id_: str,
        base_url: str,
        patient: str,
        encounter: str = "",
        user: str = "",
        tenant: str = "",
    ) -> str:
        """The URL by which a program is launched about a patient, once, within five minutes.

        base_url: of FHIR, in the patient's territory if that is named.
        """
        program = self._program(id_)
        for each in filter(None, (patient, encounter)):
            if not _ID.fullmatch(each):
                raise Impossible(f"{each!r} is no id of a resource")
        handle = secrets.token_urlsafe(24)
        with self._connections.transaction() as connection:
            if user and people.user(connection, user) is None:
                raise Impossible(f"there is no user {user}")
            new = Launch(id_, user, patient, encounter, tenant)
            programs.add_launch(connection, hashed(handle), new, self._now() + _LAUNCH_LIFE)
        query = urlencode({"iss": base_url, "launch": handle})
        url = program.launch_url or ""
        return f"{url}{'&' if '?' in url else '?'}{query}"

    def replace_keys(self) -> None:
        """Sign with new keys and believe no old ones: every token ends."""
        OwnKeys(self._connections, self._now).replace()

    def _program(self, id_: str) -> Program:
        with self._connections.transaction() as connection:
            found = programs.program(connection, id_)
        if found is None:
            raise Impossible(f"there is no program {id_}")
        return found


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Impossible(f"{name!r}: expected up to 64 small letters, digits and . _ @ -")


def _roles(names: Sequence[str]) -> list[str]:
    if unknown := set(names) - ROLES:
        expected = ", ".join(sorted(ROLES))
        raise Impossible(f"{', '.join(sorted(unknown))}: expected roles of {expected}")
    return sorted(set(names))


def _tenants(names: Sequence[str]) -> list[str]:
    if not names:
        raise Impossible("expected at least one territory")
    return [each for each in dict.fromkeys(names) if _is_tenant(each)]


def _is_tenant(name: str) -> bool:
    if not _TENANT.fullmatch(name):
        raise Impossible(f"{name!r} is no name of a territory")
    return True


def _fhir_user(reference: str) -> str:
    if reference and not local_reference(reference, ""):
        raise Impossible(f"{reference!r}: expected a reference such as Practitioner/1")
    return reference


def _check_program(new: NewProgram) -> None:
    _check_name(new.id)
    if new.method not in METHODS:
        raise Impossible(f"{new.method!r}: expected one of {', '.join(METHODS)}")
    if not new.grants or not set(new.grants) <= set(GRANTS):
        raise Impossible(f"expected grants of {', '.join(GRANTS)}")
    if ("authorization_code" in new.grants) != bool(new.redirect_uris):
        raise Impossible("programs with authorization_code have redirect URIs, others none")
    if "client_credentials" in new.grants and new.method == "none":
        raise Impossible("a program that asks for itself has to prove who it is")
    if (new.method == PRIVATE_KEY_JWT) != bool(new.keys or new.jwks_url):
        raise Impossible("programs with private_key_jwt have keys or a URL of them, others none")
    if new.keys is not None and not read_keys(new.keys):
        raise Impossible("there is no public key in the JWK set that could be used")
    for uri in new.redirect_uris:
        _check_redirect_uri(uri)
    for url in filter(None, (new.launch_url, new.jwks_url)):
        if not _is_web(url):
            raise Impossible(f"{url!r}: expected https://, or http:// on this machine")


def _is_web(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.netloc) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )


def _check_redirect_uri(uri: str) -> None:
    """RFC 9700 2.1, 4.1: absolute, without a fragment, and not readable on its way."""
    parts = urlsplit(uri)
    own_scheme = "." in parts.scheme and not parts.netloc
    wild = not _REDIRECT_URI.fullmatch(uri)
    if wild or parts.fragment or not (own_scheme or _is_web(uri)):
        raise Impossible(
            f"{uri!r}: expected a redirect URI as the program sends it: https://, http:// on this "
            "machine, or a scheme of the program's own such as org.example.app:/done"
        )
