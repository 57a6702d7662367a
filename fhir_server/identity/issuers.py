"""Whose tokens are believed, and how theirs say who somebody is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fhir_server.security.principal import ROLES

# Only signatures that a public key proves. What is kept out is `none`, and HS256 with its like,
# whose key a public one could be mistaken for (RFC 8725 3.1).
ALGORITHMS = frozenset(
    {
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
        "Ed25519", "EdDSA",
    }
)  # fmt: skip

_Url = Annotated[str, Field(pattern=r"^https?://\S+$")]
# A claim by its name, or names from the outside to the inside.
ClaimPath = str | tuple[str, ...]


class IssuersError(ValueError):
    """A file of issuers that cannot be used; says what is wrong and where."""


class Issuer(BaseModel):
    """An OpenID provider, or another server that issues access tokens.

    issuer: as the claim `iss` has it. audience: what `aud` has to name, any of them.
    jwks_url: where its keys are; unset, as its openid-configuration says.
    algorithms: of its signatures. token_types: header `typ`; a token may also have none.
    roles: claims that hold roles. role_names: what its roles are called here; names of ours mean
        themselves. tenants: the claim with the territories; default_tenants: where it is absent.
    fhir_user, patient, encounter: claims of SMART App Launch.
    scopes_required: whether a token that has no scopes of resources may do nothing; otherwise
        roles alone decide what it may do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: _Url
    audience: tuple[str, ...] = Field(min_length=1)
    jwks_url: _Url | None = None
    algorithms: frozenset[str] = frozenset({"RS256", "RS384", "PS256", "ES256", "ES384"})
    token_types: frozenset[str] = frozenset({"jwt", "at+jwt", "application/at+jwt"})
    roles: tuple[ClaimPath, ...] = ("roles", "realm_access.roles")
    role_names: Mapping[str, str] = {}
    tenants: ClaimPath = "tenants"
    default_tenants: tuple[str, ...] = ("default",)
    fhir_user: ClaimPath = "fhirUser"
    patient: ClaimPath = "patient"
    scopes_required: bool = True

    @field_validator("audience", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("algorithms")
    @classmethod
    def _safe(cls, names: frozenset[str]) -> frozenset[str]:
        if not names or not names <= ALGORITHMS:
            raise ValueError(f"expected some of {', '.join(sorted(ALGORITHMS))}")
        return names

    @field_validator("role_names")
    @classmethod
    def _known(cls, names: Mapping[str, str]) -> Mapping[str, str]:
        for theirs, ours in names.items():
            if ours not in ROLES:
                raise ValueError(f"{theirs}: {ours!r} is none of {', '.join(sorted(ROLES))}")
        return names


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    issuers: tuple[Issuer, ...]


def read_issuers(
    path: Path | None, issuer: str | None = None, audience: str | None = None
) -> tuple[Issuer, ...]:
    """The issuers of a YAML file, and the one that two settings name. Raises `IssuersError`."""
    data: Any = {"issuers": []}
    if path is not None:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise IssuersError(f"{path}: {error}") from None
        if not isinstance(data, dict) or not isinstance(data.get("issuers"), list):
            raise IssuersError(f"{path}: expected a list of issuers")
    if issuer is not None:
        simple = {"issuer": issuer, "audience": audience or ()}
        data = {**data, "issuers": [simple, *data["issuers"]]}
    try:
        found = _File.model_validate(data).issuers
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise IssuersError(f"{path or '--token-issuer'}: {'; '.join(problems)}") from None
    names = [each.issuer for each in found]
    if len(set(names)) < len(names):
        raise IssuersError(f"{path}: an issuer stands there twice")
    return found
