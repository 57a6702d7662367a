"""Settings: what is stored, how much at once, and the rules of orders."""

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationInfo, field_validator

from fhir_server.settings.access import AccessSettings
from fhir_server.spec import definitions
from fhir_server.workflow.canonicals import ACCESSION_NUMBER, ORDER_NUMBER

MEBIBYTE = 1024 * 1024

_PREFIX = "^[A-Z0-9]{1,4}$"
_ENFORCED = re.compile(r"([A-Z][A-Za-z]+)=(\S+:\S+)")


class ContentSettings(AccessSettings):
    """What is stored, how much at once, and the rules of orders."""

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

    @field_validator("time_zone", "number_time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        try:
            ZoneInfo(name or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"unknown time zone {name!r}; expected one such as UTC") from None
        return name

    @field_validator("max_page_size")
    @classmethod
    def _not_below_page_size(cls, most: int, info: ValidationInfo) -> int:
        if most < info.data.get("page_size", 0):
            raise ValueError(f"{most}: expected no less than the page size of a request without it")
        return most
