"""Every setting, its default and its meaning; each is a command-line option and a variable.

`FHIR_SERVER_PORT=8081` and `--port 8081` are the same; the option wins.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fhir_server.http.cors import read_origins
from fhir_server.http.proxies import read_networks
from fhir_server.identity.issuers import Issuer, read_issuers
from fhir_server.messaging.settings import read_messaging
from fhir_server.secret_settings import SecretFiles, SecretUrl, check_database
from fhir_server.security.policy import Policy
from fhir_server.spec import definitions
from fhir_server.workflow.canonicals import ACCESSION_NUMBER, ORDER_NUMBER
from fhir_server.worklist.settings import check_title, read_stations

MEBIBYTE = 1024 * 1024

_PREFIX = "^[A-Z0-9]{1,4}$"
_ENFORCED = re.compile(r"([A-Z][A-Za-z]+)=(\S+:\S+)")


class Settings(BaseSettings):
    """The settings of one server."""

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
    authentication: str = Field(
        "off",
        description="Who says who asks: `off`, everybody is the local administrator, for this "
        "machine only; `embedded`, this server, which then gives tokens; `external`, "
        "OpenID providers.",
    )
    policy_file: Path | None = Field(
        None,
        description="JSON file with what each role may do, in place of the policy that comes with "
        "the server.",
    )
    token_issuer: str | None = Field(
        None,
        description="An OpenID provider whose tokens are believed, as the claim `iss` has it, "
        "such as https://id.example.org/realms/hospital.",
    )
    token_audience: str | None = Field(
        None,
        description="What the claim `aud` of its tokens has to name, such as "
        "https://fhir.example.org/fhir.",
    )
    issuers_config: Path | None = Field(
        None,
        description="YAML file with OpenID providers whose tokens are believed, each with "
        "settings of its own.",
    )
    session_minutes: int = Field(
        30,
        ge=1,
        le=720,
        description="Minutes without use after which users of the embedded authorization server "
        "have to log in again.",
    )
    access_token_minutes: int = Field(
        10,
        ge=1,
        le=60,
        description="Minutes that access tokens of the embedded authorization server are good for.",
    )
    time_zone: str = Field(
        "UTC", description="Zone of dates and times that name none, such as Europe/Berlin."
    )
    max_body_bytes: int = Field(
        64 * MEBIBYTE, ge=1024, description="Largest request body; a larger one gets 413."
    )
    max_bundle_entries: int = Field(
        5000, ge=1, description="Most entries of a batch or transaction; more get 413."
    )
    page_size: int = Field(20, ge=1, description="Resources of a page when _count is not given.")
    max_page_size: int = Field(1000, ge=1, description="Most resources of a page.")
    max_included_resources: int = Field(
        1000,
        ge=1,
        description="Most resources a page includes beside its matches; further pages have more.",
    )
    validate_invariants: bool = Field(
        True, description="Refuse resources that break an invariant of R4 itself."
    )
    enforce_profiles: str | None = Field(
        None,
        description="Profiles that every resource of a type must conform to, apart by spaces, such "
        "as `Patient=http://example.org/fhir/StructureDefinition/p`; a type may stand there "
        "several times. While a profile is not stored, nothing of its type is taken.",
    )
    honour_meta_profile: bool = Field(
        True,
        description="Refuse resources that do not conform to a profile they claim in meta.profile, "
        "if it is stored here.",
    )
    seal_elements: str | None = Field(
        None,
        description="What is encrypted at rest: `default`, which is insurance details, notes and "
        "diagnosis codes, or the path of a policy. Unset with `seal_keys`, what was encrypted is "
        "decrypted again.",
    )
    seal_keys: str | None = Field(
        None,
        description="What has the master key: the path of a key file with mode 0600, or "
        "`command:` and a command that asks a key service.",
    )
    order_number_prefix: str = Field(
        "ORD", pattern=_PREFIX, description="Begins order numbers, as in ORD-2026-00001."
    )
    order_number_width: int = Field(
        5,
        ge=1,
        le=12,
        description="Digits of order numbers; numbers that need more have more.",
    )
    order_number_system: str = Field(
        ORDER_NUMBER, description="System of the identifiers that order numbers are."
    )
    accession_number_prefix: str = Field(
        "ACC",
        pattern=_PREFIX,
        description="Begins accession numbers; 4 letters or digits at most, since DICOM takes 16 "
        "characters.",
    )
    accession_number_width: int = Field(
        5,
        ge=1,
        le=6,
        description="Digits of accession numbers; numbers that need more have more.",
    )
    accession_number_system: str = Field(
        ACCESSION_NUMBER, description="System of the identifiers that accession numbers are."
    )
    number_time_zone: str | None = Field(
        None,
        description="Zone of the year in which numbers begin again with 1. Unset, `time_zone`.",
    )
    verify_orders: bool = Field(
        False,
        description="Let orders wait as pending-verification until somebody verifies or rejects "
        "them.",
    )
    require_involved_requester: bool = Field(
        False,
        description="Refuse an order whose requester neither takes part in the encounter nor is in "
        "a care team of the patient.",
    )
    worklist_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port at which modalities are answered by DICOM: worklist (C-FIND), performed "
        "steps (MPPS), C-ECHO. Unset, they are not.",
    )
    worklist_title: str = Field(
        "FHIRSERVER", description="The AE title that modalities call; others are refused."
    )
    worklist_stations: str | None = Field(
        None,
        description="AE titles that may call, apart by commas, each with the character set that it "
        "needs unless that is UTF-8, such as `CT1, OLDCT=ISO_IR 100`. Unset, any.",
    )
    worklist_export: Path | None = Field(
        None,
        description="Folder that is kept as the worklist is, a `.wl` file a step, for an Orthanc "
        "that answers modalities itself. Unset, none.",
    )
    mllp_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port at which HL7 v2 messages are received by MLLP, such as 2575. Unset, only "
        "those of `mllp_config` are.",
    )
    mllp_host: str = Field("127.0.0.1", description="Address at which `mllp_port` listens.")
    mllp_config: Path | None = Field(
        None,
        description="YAML file with HL7 v2 listeners, each with settings of its own, and with "
        "destinations to which messages are sent.",
    )
    message_retention_days: int | None = Field(
        None,
        ge=1,
        description="Days that HL7 v2 messages are kept as they came, once they are done with; "
        "what became of them stays. Unset, for ever.",
    )
    upload_file_bytes: int = Field(
        100 * MEBIBYTE, ge=1024, description="Largest DICOM file of an upload."
    )
    upload_files: int = Field(
        500, ge=1, description="Most files of an upload, those inside zip files included."
    )
    upload_bytes: int = Field(
        2048 * MEBIBYTE, ge=1024, description="Most bytes of an upload; more get 413."
    )
    upload_dir: Path | None = Field(
        None,
        description="Folder in which files lie until the archive has them. Unset, the system's.",
    )
    orthanc_url: str | None = Field(
        None,
        description="REST API of the Orthanc that keeps the images, such as http://orthanc:8042. "
        "Unset, there are no images.",
    )
    orthanc_user: str = Field("", description="User of Orthanc's REST API.")
    orthanc_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    orthanc_timeout: float = Field(
        30.0, gt=0, description="Seconds after which an answer of Orthanc is not waited for."
    )
    orthanc_hint_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret that Orthanc's plugin signs its hints with; without one no hints are "
        "taken, and what came is found by asking.",
    )
    orthanc_poll: float = Field(
        5.0, gt=0, description="Seconds between two questions to Orthanc what has changed."
    )
    orthanc_compare: float = Field(
        300.0,
        gt=0,
        description="Seconds between two comparisons with all studies of Orthanc, which find "
        "deletions and what it did not tell.",
    )
    accession_issuers: str | None = Field(
        None,
        description="Systems of accession numbers by the issuer that images name, apart by spaces, "
        "such as `RIS2=http://example.org/ris2`. Images that name none mean "
        "`accession_number_system`.",
    )
    patient_id_issuers: str | None = Field(
        None,
        description="Systems of patient ids by the issuer that images name, apart by spaces, such "
        "as `KAS=http://example.org/mrn`.",
    )
    with_orthanc: bool = Field(
        False,
        description="Run the Orthanc that is installed on this machine, with its images in the "
        "data directory, instead of using one at `orthanc_url`.",
    )
    orthanc_http_port: int = Field(
        8042, ge=1, le=65535, description="REST port of the Orthanc that is run beside the server."
    )
    orthanc_dicom_port: int = Field(
        4242, ge=1, le=65535, description="Port at which that Orthanc takes images from modalities."
    )
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

    @property
    def audited(self) -> bool:
        """Whether there is an audit trail."""
        return self.audit == "on" or (self.audit == "auto" and self.authentication != "off")

    @property
    def audit_folder(self) -> Path:
        """Where the audit trail keeps what is outside of the database."""
        return self.audit_dir or self.data_dir / "audit"

    @property
    def enforced_profiles(self) -> Mapping[str, tuple[str, ...]]:
        """The canonicals of `enforce_profiles` by type."""
        found: dict[str, tuple[str, ...]] = {}
        for each in (self.enforce_profiles or "").split():
            type_, _, canonical = each.partition("=")
            found[type_] = (*found.get(type_, ()), canonical)
        return found

    @field_validator("enforce_profiles")
    @classmethod
    def _types_and_canonicals(cls, text: str | None) -> str | None:
        for each in (text or "").split():
            match = _ENFORCED.fullmatch(each)
            if match is None:
                raise ValueError(f"{each!r}: expected a type, '=' and a canonical URL")
            if match[1] not in definitions().resource_types:
                raise ValueError(f"{each!r}: {match[1]} is no resource type of R4")
        return text

    @property
    def systems_of_accessions(self) -> tuple[tuple[str, str], ...]:
        """Issuers and systems of `accession_issuers`."""
        return _pairs(self.accession_issuers)

    @property
    def systems_of_patient_ids(self) -> tuple[tuple[str, str], ...]:
        """Issuers and systems of `patient_id_issuers`."""
        return _pairs(self.patient_id_issuers)

    @field_validator("accession_issuers", "patient_id_issuers")
    @classmethod
    def _issuers_and_systems(cls, text: str | None) -> str | None:
        for issuer, system in _pairs(text):
            if not issuer or ":" not in system:
                raise ValueError(f"'{issuer}={system}': expected an issuer, '=' and a URI")
        return text

    @field_validator("orthanc_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r}: expected a URL that begins with http:// or https://")
        return url.rstrip("/") if url else None

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

    @field_validator("time_zone", "number_time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        try:
            ZoneInfo(name or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"unknown time zone {name!r}; expected one such as UTC") from None
        return name

    @field_validator("worklist_title")
    @classmethod
    def _ae_title(cls, title: str) -> str:
        return check_title(title)

    @field_validator("worklist_stations")
    @classmethod
    def _ae_titles(cls, text: str | None) -> str | None:
        read_stations(text or "")
        return text

    @field_validator("authentication")
    @classmethod
    def _known_way(cls, way: str) -> str:
        if way not in ("off", "embedded", "external"):
            raise ValueError(f"{way!r}: expected off, embedded or external")
        return way

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """The OpenID providers whose tokens are believed."""
        return read_issuers(self.issuers_config, self.token_issuer, self.token_audience)

    @field_validator("policy_file")
    @classmethod
    def _sound_policy(cls, path: Path | None) -> Path | None:
        if path is not None:
            Policy.read(path, definitions())
        return path

    @field_validator("issuers_config")
    @classmethod
    def _sound_issuers(cls, path: Path | None) -> Path | None:
        read_issuers(path)
        return path

    @field_validator("mllp_config")
    @classmethod
    def _sound_messaging(cls, path: Path | None) -> Path | None:
        read_messaging(path, None, "")
        return path

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of `cors_origins`."""
        return read_origins(self.cors_origins or "")

    @field_validator("cors_origins")
    @classmethod
    def _sound_origins(cls, text: str | None) -> str | None:
        read_origins(text or "")
        return text

    @field_validator("base_url")
    @classmethod
    def _no_slash(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r}: expected a URL that begins with http:// or https://")
        return url.rstrip("/") if url else None

    @field_validator("max_page_size")
    @classmethod
    def _not_below_page_size(cls, most: int, info: ValidationInfo) -> int:
        if most < info.data.get("page_size", 0):
            raise ValueError(f"{most}: expected no less than the page size of a request without it")
        return most

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


def _pairs(text: str | None) -> tuple[tuple[str, str], ...]:
    parts = (each.partition("=") for each in (text or "").split())
    return tuple((name, value) for name, _, value in parts)
