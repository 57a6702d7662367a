"""What the file of HL7 v2 listeners and destinations says."""

import ssl
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fhir_server.storage.migrate import DEFAULT_TENANT, schema_name

MEBIBYTE = 1024 * 1024

OrderMessage = Literal["ORM_O01", "OMG_O19", "OML_O21", "OMI_O23"]
OrderType = Literal["imaging", "laboratory", "procedure"]
Sent = Literal["orders", "reports", "patients"]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
_Tenant = Annotated[str, AfterValidator(lambda name: schema_name(name) and name)]
_Port = Annotated[int, Field(ge=1, le=65535)]


class MessagingError(ValueError):
    """A file of listeners and destinations that cannot be used; says what is wrong and where."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerTls(_Part):
    """TLS of a listener; with `client_ca` a client needs a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """For sockets that accept connections. Raises OSError for files that cannot be used."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_cert_chain(self.certificate, self.key)
        if self.client_ca is not None:
            made.load_verify_locations(self.client_ca)
            made.verify_mode = ssl.CERT_REQUIRED
        return made


class ClientTls(_Part):
    """TLS towards a destination; `ca` is who vouches for it if the system's authorities do not."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """For sockets that connect. Raises OSError for files that cannot be used."""
        made = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            made.load_cert_chain(self.certificate, self.key)
        return made


class ListenerSettings(_Part):
    """A port on which messages are received.

    tenant: the territory that gets them.
    allow: networks that may connect; all may if none is named.
    processing_ids: which messages are taken, by MSH-11.1; all are if none is named.
    unknown: what becomes of messages that no rules are for.
    order_answers: orders are answered by ORR, ORL, ORG or ORI rather than by ACK.
    commit_answers: each frame is also answered by the byte 06 or 15 (MLLP release 2).
    idle_seconds: without a frame until the connection is closed; frame_seconds: for a frame to
        come whole; write_seconds: for the peer to take an answer.
    """

    name: _Name
    tenant: _Tenant = DEFAULT_TENANT
    host: str = "127.0.0.1"
    port: _Port
    tls: ServerTls | None = None
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    processing_ids: tuple[str, ...] = ()
    unknown: Literal["refuse", "ignore"] = "refuse"
    order_answers: bool = False
    commit_answers: bool = False
    max_frame_bytes: int = Field(32 * MEBIBYTE, ge=1024)
    max_connections: int = Field(200, ge=1)
    idle_seconds: float = Field(1800, gt=0)
    frame_seconds: float = Field(60, gt=0)
    write_seconds: float = Field(30, gt=0)


class DestinationSettings(_Part):
    """A system to which messages are sent.

    tenant: the territory of which it is told.
    application, facility: MSH-5 and MSH-6, and MSH-3 and MSH-4 of what comes from there: what its
        own messages change is not sent back to it.
    sends: what it is told of. order_types: of which orders; all types if none is named.
    order_message: as what orders are sent. overlay: the mapping to be used beside the shipped one.
    """

    name: _Name
    tenant: _Tenant = DEFAULT_TENANT
    host: str
    port: _Port
    tls: ClientTls | None = None
    application: str
    facility: str = ""
    sends: tuple[Sent, ...] = ("orders",)
    order_types: tuple[OrderType, ...] = ()
    order_message: OrderMessage = "ORM_O01"
    version: Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"] = "2.5.1"
    processing_id: str = "P"
    connect_seconds: float = Field(10, gt=0)
    answer_seconds: float = Field(30, gt=0)
    most_attempts: int = Field(10, ge=1)


class MessagingSettings(_Part):
    """Everything about HL7 v2 messages.

    application, facility: how this server calls itself, MSH-3 and MSH-4.
    max_buffered_bytes: of frames that have not come whole, in one process.
    at_once: messages being stored or carried out at the same time, in one process.
    """

    application: str = "FHIR-SERVER"
    facility: str = ""
    listeners: tuple[ListenerSettings, ...] = ()
    destinations: tuple[DestinationSettings, ...] = ()
    max_buffered_bytes: int = Field(256 * MEBIBYTE, ge=MEBIBYTE)
    at_once: int = Field(4, ge=1)

    @property
    def tenants(self) -> frozenset[str]:
        """The territories that receive or send."""
        listening = {each.tenant for each in self.listeners}
        return frozenset(listening | {each.tenant for each in self.destinations})

    def of(self, tenant: str) -> "MessagingSettings":
        """What concerns one territory."""
        return self.model_copy(
            update={
                "listeners": tuple(each for each in self.listeners if each.tenant == tenant),
                "destinations": tuple(each for each in self.destinations if each.tenant == tenant),
            }
        )

    @model_validator(mode="after")
    def _apart(self) -> "MessagingSettings":
        for what, found in (("listener", self.listeners), ("destination", self.destinations)):
            names = [each.name for each in found]
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"two of the same name: {what} {', '.join(sorted(twice))}")
        ports = [each.port for each in self.listeners]
        if twice_used := {port for port in ports if ports.count(port) > 1}:
            raise ValueError(f"two listeners on port {', '.join(map(str, sorted(twice_used)))}")
        return self


def read_messaging(path: Path | None, port: int | None, host: str) -> MessagingSettings:
    """The settings in a file, with the listener of `--mllp-port`. Raises MessagingError."""
    data: Any = {}
    if path is not None:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise MessagingError(f"{path}: {error}") from None
        if not isinstance(data, dict):
            raise MessagingError(f"{path}: expected listeners and destinations")
    if port is not None:
        simple = {"name": "mllp", "host": host, "port": port}
        data = {**data, "listeners": [simple, *data.get("listeners", ())]}
    try:
        return MessagingSettings.model_validate(data)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']}" for each in error.errors()
        )
        raise MessagingError(f"{path or '--mllp-port'}: {'; '.join(problems)}") from None
