"""Settings: who may come in, and do what."""

from pathlib import Path

from pydantic import Field, field_validator

from fhir_server.identity.issuers import Issuer, read_issuers
from fhir_server.security.policy import Policy
from fhir_server.settings.network import NetworkSettings
from fhir_server.spec import definitions


class AccessSettings(NetworkSettings):
    """Who may come in, and do what."""

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
