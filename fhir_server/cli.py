"""The command `fhir-server`."""

import argparse
import sys
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from fhir_server import __version__
from fhir_server.conformance import command as test_command
from fhir_server.demo import command as demo_command
from fhir_server.dicom_command import command as dicom_command
from fhir_server.hl7_command import command as hl7_command
from fhir_server.identity_command import command as identity_command
from fhir_server.keys_command import command as keys_command
from fhir_server.load import command as load_command
from fhir_server.package_command import command as package_command
from fhir_server.secret_settings import is_secret, reveals
from fhir_server.settings import Settings
from fhir_server.tenant_command import command as tenant_command
from fhir_server.validation_command import command as validate_command


def parser() -> argparse.ArgumentParser:
    """The commands and their options; those of `serve` are the settings."""
    main_parser = argparse.ArgumentParser(
        prog="fhir-server", description="HL7 FHIR R4 server on PostgreSQL."
    )
    main_parser.add_argument("--version", action="version", version=f"fhir-server {__version__}")
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the server")
    _add_settings(serve, set(Settings.model_fields))
    migrate = commands.add_parser("migrate", help="bring the database to this release's schema")
    _add_settings(migrate, {"data_dir", "database_url", "migration_database_url"})
    load = commands.add_parser("load", help="load resources into a running server")
    load_command.add_arguments(load)
    demo = commands.add_parser("demo", help="put a small hospital into a running server")
    demo_command.add_arguments(demo)
    dicom = commands.add_parser("dicom", help="DICOM files into a running server")
    dicom_command.add_arguments(dicom)
    package = commands.add_parser("package", help="implementation guides of a running server")
    package_command.add_arguments(package)
    validate = commands.add_parser("validate", help="validate files, without a server")
    validate_command.add_arguments(validate)
    hl7 = commands.add_parser("hl7", help="HL7 v2 messages: convert them, see what rules read")
    hl7_command.add_arguments(hl7)
    user = commands.add_parser("user", help="who may log in")
    client = commands.add_parser("client", help="which programs get tokens")
    for action in (
        *identity_command.add_user_arguments(user),
        *identity_command.add_client_arguments(client),
    ):
        _add_settings(action, {"data_dir", "database_url", "base_url", "port"})
    keys = commands.add_parser("keys", help="keys of what is encrypted at rest")
    for action in keys_command.add_arguments(keys):
        _add_settings(action, {"data_dir", "database_url", "seal_elements", "seal_keys"})
    tenant = commands.add_parser("tenant", help="territories: add, list, export, drop them")
    for action, names in tenant_command.add_arguments(tenant):
        _add_settings(action, set(names))
    test = commands.add_parser("test", help="carry out TestScripts against a server")
    test_command.add_arguments(test)
    health = commands.add_parser("health", help="ask a running server whether it is ready")
    health.add_argument("--base-url", default="http://localhost:8080", help="of the server")
    return main_parser


def _add_settings(command: argparse.ArgumentParser, names: set[str]) -> None:
    for name, field in Settings.model_fields.items():
        if name in names:
            flag = "--" + name.replace("_", "-")
            command.add_argument(flag, **_argument(name, field))


def _argument(name: str, field: FieldInfo) -> dict[str, Any]:
    text = f"{field.description} Default: {field.default}."
    if reveals(field, ""):
        text += f" Not an option, which the process list would show: {_elsewhere(name)}."
    argument: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
    if field.annotation is bool:
        argument["action"] = argparse.BooleanOptionalAction
    return argument


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Settings from options, then the environment, then defaults. Exits with what is wrong."""
    given = {
        name: value for name, value in vars(arguments).items() if name in Settings.model_fields
    }
    for name, value in given.items():
        _keep_secret(name, value)
    try:
        return Settings(**given)
    except SettingsError as error:
        sys.stderr.write(f"fhir-server: {error}\n")
        raise SystemExit(2) from None
    except ValidationError as error:
        for problem in error.errors():
            flag = "--" + str(problem["loc"][0]).replace("_", "-")
            sys.stderr.write(f"fhir-server: {flag}: {problem['msg']}\n")
        raise SystemExit(2) from None


def _keep_secret(name: str, value: Any) -> None:
    """Everybody on the machine sees the options of a process. Exits where that cannot be meant."""
    field = Settings.model_fields[name]
    if not is_secret(field) or not reveals(field, value):
        return
    flag = "--" + name.replace("_", "-")
    text = f"fhir-server: {flag}: everybody on this machine sees it; give it by {_elsewhere(name)}"
    sys.stderr.write(f"{text}\n")
    if reveals(field, ""):
        raise SystemExit(2)


def _elsewhere(name: str) -> str:
    variable = f"FHIR_SERVER_{name.upper()}"
    return f"{variable} or by a file that {variable}_FILE names"


_ON_THE_DATABASE = {
    "user": identity_command.run,
    "client": identity_command.run,
    "keys": keys_command.run,
    "tenant": tenant_command.run,
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parsed = parser().parse_args(arguments)
    match parsed.command:
        case "load":
            return load_command.run(parsed)
        case "demo":
            return demo_command.run(parsed)
        case "dicom":
            return dicom_command.run(parsed)
        case "test":
            return test_command.run(parsed)
        case "package":
            return package_command.run(parsed)
        case "validate":
            return validate_command.run(parsed)
        case "hl7":
            return hl7_command.run(parsed)
        case "user" | "client" | "keys" | "tenant":
            return _ON_THE_DATABASE[parsed.command](parsed, settings_of(parsed))
        case "health":
            from fhir_server.serve import health

            return health(parsed.base_url)
        case "migrate":
            from fhir_server.serve import migrate_database

            return migrate_database(settings_of(parsed))
    from fhir_server.serve import serve

    return serve(settings_of(parsed))


if __name__ == "__main__":
    raise SystemExit(main())
