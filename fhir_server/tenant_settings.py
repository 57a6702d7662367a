"""What the file of `tenants_config` says: settings of single tenants in place of the server's."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fhir_server.settings import Settings
from fhir_server.storage.migrate import DEFAULT_TENANT, schema_name

# The settings that may differ from tenant to tenant.
OWN = frozenset(
    {
        "order_number_prefix", "order_number_width", "order_number_system",
        "accession_number_prefix", "accession_number_width", "accession_number_system",
        "number_time_zone", "verify_orders", "require_involved_requester", "time_zone",
        "message_retention_days", "accession_issuers", "patient_id_issuers",
        "worklist_stations", "orthanc_url", "orthanc_user", "orthanc_password",
        "orthanc_hint_secret", "orthanc_timeout", "orthanc_poll", "orthanc_compare",
    }
)  # fmt: skip
# Of what is one machine's: a tenant without its own has none, rather than another tenant's.
_NOT_SHARED = ("orthanc_url", "worklist_stations")
_SECRET = ("orthanc_password", "orthanc_hint_secret")
_FILE = "_file"


class TenantsError(ValueError):
    """A file that cannot be used; says what is wrong and where."""


class TenantSettings:
    """The settings as each tenant has them.

    settings: the server's, which are those of the tenant `default` too.
    Raises `TenantsError` for a file that cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._server = settings
        self._own = {
            name: _own(settings, settings.tenants_config, name, found)
            for name, found in _read(settings.tenants_config).items()
        }
        self.of = cache(self._of)

    @property
    def named(self) -> frozenset[str]:
        """The tenants that the file names."""
        return frozenset(self._own)

    def _of(self, tenant: str) -> Settings:
        if tenant in self._own:
            return self._own[tenant]
        if tenant == DEFAULT_TENANT:
            return self._server
        return self._server.model_copy(update=dict.fromkeys(_NOT_SHARED))


def _read(path: Path | None) -> Mapping[str, Mapping[str, Any]]:
    if path is None:
        return {}
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TenantsError(f"{path}: {error}") from None
    if not isinstance(data, dict) or set(data) - {"tenants"}:
        raise TenantsError(f"{path}: expected `tenants` and nothing beside it")
    found = data.get("tenants") or {}
    if not isinstance(found, dict) or not all(
        isinstance(each, dict | None) for each in found.values()
    ):
        raise TenantsError(f"{path}: tenants: expected settings by the name of a tenant")
    try:
        for name in found:
            schema_name(str(name))
    except ValueError as error:
        raise TenantsError(f"{path}: {error}") from None
    return {str(name): each or {} for name, each in found.items()}


def _own(settings: Settings, path: Path | None, name: str, found: Mapping[str, Any]) -> Settings:
    place = f"{path}: tenants.{name}"
    given = {key: _from_file(place, key, value) for key, value in found.items()}
    given = {key.removesuffix(_FILE): value for key, value in given.items()}
    if unknown := sorted(given.keys() - OWN):
        raise TenantsError(f"{place}: {', '.join(unknown)}: no setting that a tenant may have")
    # All of them, so that no variable is looked at again.
    shared = settings.model_dump()
    if name != DEFAULT_TENANT:
        shared |= dict.fromkeys(_NOT_SHARED)
    try:
        return Settings.model_validate(shared | given)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise TenantsError(f"{place}: {'; '.join(problems)}") from None


def _from_file(place: str, key: str, value: Any) -> Any:
    """A secret may stand in a file of its own, which `orthanc_password_file` names."""
    if not key.endswith(_FILE) or key.removesuffix(_FILE) not in _SECRET:
        return value
    try:
        return Path(str(value)).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TenantsError(f"{place}.{key}: {error}") from None
