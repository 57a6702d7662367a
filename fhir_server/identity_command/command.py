"""`fhir-server user` and `fhir-server client`: their options. The rest is imported to run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhir_server.settings import Settings


def add_user_arguments(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The actions on users. Returns their parsers."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = _action(actions, "add", "add somebody; asks for the password")
    _roles(add, required=True)
    add.add_argument(
        "--tenant",
        action="append",
        metavar="NAME",
        help="territory; the first is theirs unless they choose (default)",
    )
    add.add_argument(
        "--fhir-user",
        default="",
        metavar="TYPE/ID",
        help="who they are in the records, such as Practitioner/1",
    )
    add.add_argument("--display", default="", help="as people call them")
    _password(add)
    password = _action(actions, "password", "give somebody another password; ends their sessions")
    _password(password)
    roles = _action(actions, "roles", "give somebody other roles, at once")
    roles.add_argument("values", nargs="*", metavar="ROLE")
    tenants = _action(actions, "tenants", "let somebody into other territories, at once")
    tenants.add_argument("values", nargs="+", metavar="TENANT")
    fhir_user = _action(actions, "fhir-user", "say who somebody is in the records")
    fhir_user.add_argument("value", metavar="TYPE/ID")
    plain = [
        _action(actions, "disable", "let somebody in no more, and end their sessions"),
        _action(actions, "enable", "let somebody in again"),
        _action(actions, "sign-out", "end somebody's sessions, and what programs do for them"),
        _action(actions, "unlock", "forgive wrong passwords"),
    ]
    list_ = actions.add_parser("list", help="who there is")
    return [add, password, roles, tenants, fhir_user, *plain, list_]


def add_client_arguments(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The actions on programs. Returns their parsers."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = _action(actions, "add", "add a program; prints its secret if it has one")
    add.add_argument(
        "--scope",
        required=True,
        help="the most it gets, such as 'openid fhirUser launch/patient patient/*.rs'",
    )
    add.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        metavar="URI",
        help="where users are sent back to; for programs that act for users",
    )
    add.add_argument("--launch-url", metavar="URL", help="where an EHR launch begins")
    add.add_argument(
        "--public", action="store_true", help="it cannot keep a secret, such as a page in a browser"
    )
    add.add_argument("--jwks-url", metavar="URL", help="its public keys, for private_key_jwt")
    add.add_argument("--jwks-file", type=Path, metavar="FILE", help="the same, as a file")
    add.add_argument(
        "--backend",
        action="store_true",
        help="it asks for itself (client credentials), for no user",
    )
    add.add_argument(
        "--secret-in-body",
        action="store_true",
        help="its secret comes in the form (client_secret_post)",
    )
    add.add_argument("--trusted", action="store_true", help="users are not asked for consent")
    add.add_argument(
        "--tenant",
        action="append",
        default=[],
        metavar="NAME",
        help="the only territories it is used in",
    )
    _roles(add, required=False)
    launch = _action(actions, "launch", "print the URL of an EHR launch, good once for 5 minutes")
    launch.add_argument("--patient", required=True, metavar="ID")
    launch.add_argument("--encounter", default="", metavar="ID")
    launch.add_argument("--tenant", default="", metavar="NAME", help="the patient's territory")
    launch.add_argument("--user", default="", metavar="NAME", help="who alone may use it")
    plain = [
        _action(actions, "disable", "give it no tokens, and refuse those it has"),
        _action(actions, "enable", "give it tokens again"),
        _action(actions, "secret", "give it another secret, and print that"),
    ]
    list_ = actions.add_parser("list", help="which there are")
    keys = actions.add_parser("replace-keys", help="sign with new keys; every token ends")
    return [add, launch, *plain, list_, keys]


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    found = actions.add_parser(name, help=text)
    found.add_argument("name", metavar="NAME")
    return found


def _roles(action: argparse.ArgumentParser, *, required: bool) -> None:
    action.add_argument(
        "--role", action="append", required=required, default=None, metavar="ROLE",
        help="such as doctor; several if given several times",
    )  # fmt: skip


def _password(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--password-file", type=Path, metavar="FILE",
        help="its first line is the password; - for standard input",
    )  # fmt: skip


def run(arguments: argparse.Namespace, settings: "Settings") -> int:
    """0 when it is done, 1 when it cannot be."""
    from fhir_server.identity_command import session

    return session.run(arguments, settings)
