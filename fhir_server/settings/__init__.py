"""Every setting, its default and its meaning; each is a command-line option and a variable.

`FHIR_SERVER_PORT=8081` and `--port 8081` are the same; the option wins.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from fhir_server.settings.devices import DeviceSettings


class Settings(DeviceSettings):
    """The settings of one server."""

    request_timeout: float = Field(
        120.0, gt=0, description="Seconds after which a request is given up with 503."
    )
    statement_timeout: float = Field(
        60.0, gt=0, description="Seconds after which PostgreSQL ends a statement."
    )
    test_hosts: str | None = Field(
        None,
        description="Other servers that `TestScript/[id]/$run` may test, apart by spaces, such as "
        "`fhir.example.org 10.0.0.5:8080`. Unset, this server only.",
    )
    test_timeout: float = Field(
        600.0, gt=0, description="Seconds after which `TestScript/[id]/$run` is stopped."
    )
    audit: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Keep an audit trail of every access and change: on, off, or auto for on while "
        "clients have to say who they are.",
    )
    audit_dir: Path | None = Field(
        None,
        description="Folder with the key that signs the audit trail, and with what is on its way "
        "into the database. Unset, `audit` in the data directory.",
    )
    audit_strict: bool = Field(
        False,
        description="Answer only when the audit event is on the disk, instead of up to 100 ms "
        "before.",
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: str = Field("json", description="json, one object a line, or text.")
    access_log: bool = Field(
        False, description="Log every request: method, route, status, duration; no ids, no values."
    )

    @property
    def audited(self) -> bool:
        """Whether there is an audit trail."""
        return self.audit == "on" or (self.audit == "auto" and self.authentication != "off")

    @property
    def audit_folder(self) -> Path:
        """Where the audit trail keeps what is outside of the database."""
        return self.audit_dir or self.data_dir / "audit"

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, level: str) -> str:
        if level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError(f"{level!r}: expected DEBUG, INFO, WARNING or ERROR")
        return level.upper()

    @field_validator("log_format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        if name not in ("json", "text"):
            raise ValueError(f"{name!r}: expected json or text")
        return name


__all__ = ["Settings"]
