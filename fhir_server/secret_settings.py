"""Settings that nobody may read over somebody's shoulder: from variables and files, not options."""

import os
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError


class SecretUrl(SecretStr):
    """A URL that is secret if there is a password in it."""


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting, or a part of it, is secret."""
    kinds = (field.annotation, *get_args(field.annotation))
    return any(isinstance(each, type) and issubclass(each, SecretStr) for each in kinds)


def reveals(field: FieldInfo, text: str) -> bool:
    """Whether somebody who sees this text as the value of a setting sees a secret."""
    kinds = (field.annotation, *get_args(field.annotation))
    if SecretUrl not in kinds:
        return is_secret(field)
    try:
        return urlsplit(text).password is not None or "password" in text
    except ValueError:
        return True


def plain(value: Any) -> Any:
    """A value of a setting without its cover."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def check_database(url: SecretUrl | None) -> SecretUrl | None:
    """A URL of PostgreSQL. Raises ValueError, which quotes nothing of it."""
    if url is None:
        return None
    try:
        found = conninfo_to_dict(url.get_secret_value())
    except ProgrammingError:
        found = {"port": "none"}
    if not str(found.get("port", "5432")).replace(",", "").isdecimal():
        raise ValueError(
            "expected postgresql://user:password@host:port/database, "
            "with characters such as / @ : # in a password written as %2F %40 %3A %23"
        )
    return url


class SecretFiles(PydanticBaseSettingsSource):
    """Secrets from files that variables such as FHIR_SERVER_ORTHANC_PASSWORD_FILE name."""

    def __init__(self, settings: type[BaseSettings]) -> None:
        super().__init__(settings)
        self._prefix = settings.model_config.get("env_prefix", "")

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """What the file of one setting holds, without the line's end."""
        variable = f"{self._prefix}{field_name.upper()}"
        path = os.environ.get(f"{variable}_FILE") if is_secret(field) else None
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(f"{variable} and {variable}_FILE: expected one of them")
        try:
            return Path(path).read_text().rstrip("\r\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise SettingsError(f"{variable}_FILE: {path} cannot be read: {why}") from None

    def __call__(self) -> dict[str, Any]:
        """All of them."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: text for name, text in found.items() if text}
