"""One run of `fhir-server user` or `fhir-server client`, on the database itself."""

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from fhir_server.command_database import command_database
from fhir_server.http.territory import base_url
from fhir_server.identity.administration import Administration, Impossible, NewProgram
from fhir_server.identity_command.noting import note
from fhir_server.outcome import Refusal
from fhir_server.serve import FHIR_PATH
from fhir_server.settings import Settings
from fhir_server.storage.embedded import DirectoryInUse
from fhir_server.storage.identity.connections import Connections

_FAILED = 1


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """0 when it is done, 1 when it cannot be."""
    actions = _USER if arguments.command == "user" else _CLIENT
    try:
        with command_database(settings) as url:
            connections = Connections(url)
            try:
                actions[arguments.action](Administration(connections), arguments, settings)
            finally:
                connections.close()
            note(url, arguments)
    except (ValueError, OSError, Refusal, DirectoryInUse, psycopg.Error) as error:
        sys.stderr.write(f"fhir-server {arguments.command}: {error}\n")
        return _FAILED
    return 0


def _add_user(on: Administration, given: argparse.Namespace, _: Settings) -> None:
    password = _read_password(given.password_file)
    tenants = given.tenant or ["default"]
    on.add_user(given.name, password, given.role, tenants, given.fhir_user, given.display)


def _change_password(on: Administration, given: argparse.Namespace, _: Settings) -> None:
    on.change_password(given.name, _read_password(given.password_file))


def _read_password(path: Path | None) -> str:
    """From a file, from standard input, or from a person; never from the command line."""
    if path is not None:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        return text.partition("\n")[0].removesuffix("\r")
    if not sys.stdin.isatty():
        raise Impossible("nobody is there to be asked for the password: use --password-file")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise Impossible("the passwords differ")
    return password


def _list_users(on: Administration, _: argparse.Namespace, __: Settings) -> None:
    for each in on.users():
        state = "disabled" if each.disabled else ""
        row = (each.name, ",".join(each.roles), ",".join(each.tenants), each.fhir_user, state)
        sys.stdout.write("\t".join(row).rstrip() + "\n")


def _add_client(on: Administration, given: argparse.Namespace, _: Settings) -> None:
    keys: dict[str, Any] | None = None
    if given.jwks_file is not None:
        keys = json.loads(given.jwks_file.read_text(encoding="utf-8"))
    grants = ["client_credentials"] if given.backend else []
    if given.redirect_uri or not given.backend:
        grants += ["authorization_code", "refresh_token"]
    secret = on.add_program(
        NewProgram(
            given.name,
            given.scope,
            _method(given),
            grants,
            given.redirect_uri,
            keys,
            given.jwks_url,
            given.launch_url,
            given.role or (),
            given.tenant,
            given.trusted,
        )
    )
    if secret is not None:
        sys.stdout.write(f"{secret}\n")


def _method(given: argparse.Namespace) -> str:
    if given.public:
        return "none"
    if given.jwks_url or given.jwks_file:
        return "private_key_jwt"
    return "client_secret_post" if given.secret_in_body else "client_secret_basic"


def _list_clients(on: Administration, _: argparse.Namespace, __: Settings) -> None:
    for each in on.programs():
        state = "disabled" if each.disabled else ""
        row = (each.id, each.method, ",".join(each.grants), each.scopes, state)
        sys.stdout.write("\t".join(row).rstrip() + "\n")


def _launch(on: Administration, given: argparse.Namespace, settings: Settings) -> None:
    below = f"/t/{given.tenant}" if given.tenant else ""
    configured = settings.base_url or f"http://localhost:{settings.port}{FHIR_PATH}"
    url = base_url(configured, FHIR_PATH, below)
    url = on.launch(given.name, url, given.patient, given.encounter, given.user, given.tenant)
    sys.stdout.write(f"{url}\n")


def _secret(on: Administration, given: argparse.Namespace, _: Settings) -> None:
    sys.stdout.write(f"{on.change_secret(given.name)}\n")


_Action = Callable[[Administration, argparse.Namespace, Settings], None]

_USER: dict[str, _Action] = {
    "add": _add_user,
    "list": _list_users,
    "password": _change_password,
    "roles": lambda on, given, _: on.change_roles(given.name, given.values),
    "tenants": lambda on, given, _: on.change_tenants(given.name, given.values),
    "fhir-user": lambda on, given, _: on.change_fhir_user(given.name, given.value),
    "disable": lambda on, given, _: on.disable_user(given.name, disabled=True),
    "enable": lambda on, given, _: on.disable_user(given.name, disabled=False),
    "sign-out": lambda on, given, _: on.sign_out(given.name),
    "unlock": lambda on, given, _: on.unlock(given.name),
}
_CLIENT: dict[str, _Action] = {
    "add": _add_client,
    "list": _list_clients,
    "disable": lambda on, given, _: on.disable_program(given.name, disabled=True),
    "enable": lambda on, given, _: on.disable_program(given.name, disabled=False),
    "secret": _secret,
    "launch": _launch,
    "replace-keys": lambda on, _, __: on.replace_keys(),
}
