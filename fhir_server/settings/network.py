"""Settings: where the server listens, and what it keeps its data in."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fhir_server.http.cors import read_origins
from fhir_server.http.proxies import read_networks
from fhir_server.secret_settings import SecretFiles, SecretUrl, check_database


class NetworkSettings(BaseSettings):
    """Where the server listens, and what it keeps its data in."""

    model_config = SettingsConfigDict(
        env_prefix="FHIR_SERVER_",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(2, ge=1, le=128, description="Server processes.")
    data_dir: Path = Field(
        Path("data"), description="Where the embedded PostgreSQL keeps its files."
    )
    database_url: SecretUrl | None = Field(
        None,
        description="A PostgreSQL 15 or later to use instead of the embedded one, such as "
        "postgresql://user:password@host/database.",
    )
    migration_database_url: SecretUrl | None = Field(
        None,
        description="The same database as its owner, who makes tables and roles; used by the "
        "commands, not by the processes that serve. Unset, `database_url`.",
    )
    database_pool: int = Field(
        16,
        ge=2,
        le=500,
        description="Database connections a process, which all its territories share.",
    )
    tenants_config: Path | None = Field(
        None,
        description="YAML file with settings of single tenants in place of those of the server.",
    )
    profiles_dir: Path | None = Field(
        None,
        description="Folder with further definitions, as JSON, that every tenant gets: profiles, "
        "code systems, value sets, search parameters.",
    )
    base_url: str | None = Field(
        None,
        description="The FHIR base URL as clients see it, such as https://fhir.example.org/fhir. "
        "Unset, links follow the Host header of each request.",
    )
    cors_origins: str | None = Field(
        None,
        description="Origins of pages in browsers that may use this server, apart by spaces, such "
        "as `https://viewer.example.org`; `*` for any, which then get no cookies. Unset, none.",
    )
    tls_certificate: Path | None = Field(
        None,
        description="PEM file with the certificate of this server and those above it; then https "
        "is served, and no http. Unset, http.",
    )
    tls_key: Path | None = Field(
        None, description="PEM file with the key of that certificate, not encrypted."
    )
    tls_minimum: str = Field("1.2", description="Lowest version of TLS that is spoken: 1.2 or 1.3.")
    tls_client_ca: Path | None = Field(
        None,
        description="PEM file with authorities; clients must have a certificate of one of them. "
        "Unset, clients need none.",
    )
    trusted_proxies: str | None = Field(
        None,
        description="Addresses and networks of reverse proxies, apart by spaces, such as "
        "`10.0.0.5 172.16.0.0/12`, whose X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host "
        "are believed. Unset, nobody's are.",
    )
    requests_per_second: float | None = Field(
        None,
        ge=0,
        description="Requests a second that one user, program or, without authentication, address "
        "may make, in each process, ten times as many at once; more get 429. 0, any. Unset, 200 "
        "where other machines reach the server, else any.",
    )
    failures_per_minute: float = Field(
        30.0,
        gt=0,
        description="Failed authentications a minute of one address that get 401, in each process; "
        "more get 429.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then variables, then the files that variables name."""
        return init_settings, env_settings, SecretFiles(settings_cls)

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _sound_database(cls, url: SecretUrl | None) -> SecretUrl | None:
        return check_database(url)

    @field_validator("tls_minimum")
    @classmethod
    def _known_tls(cls, version: str) -> str:
        if version not in ("1.2", "1.3"):
            raise ValueError(f"{version!r}: expected 1.2 or 1.3")
        return version

    @field_validator("tls_certificate", "tls_key", "tls_client_ca")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"{str(path)!r}: expected a PEM file")
        return path

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str | None) -> str | None:
        read_networks(text or "")
        return text

    @field_validator("base_url")
    @classmethod
    def _no_slash(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r}: expected a URL that begins with http:// or https://")
        return url.rstrip("/") if url else None

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of `cors_origins`."""
        return read_origins(self.cors_origins or "")

    @field_validator("cors_origins")
    @classmethod
    def _sound_origins(cls, text: str | None) -> str | None:
        read_origins(text or "")
        return text
