"""Who asks for the worklist, and where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from fhir_server.storage.migrate import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class WorklistSettings:
    """How modalities are answered.

    port: 0 for none. title: the AE title that they call.
    stations: character sets by the AE titles that may call; empty for any, in UTF-8.
    of_tenants: the same by the tenant to which stations belong; others are the first tenant's.
    zone: of the dates and times that modalities see.
    export: folder that gets a `.wl` file a step, for an Orthanc that answers; None for none.
    """

    port: int = 0
    host: str = "0.0.0.0"
    title: str = "FHIRSERVER"
    stations: Mapping[str, str] = field(default_factory=dict)
    of_tenants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    export: Path | None = None

    def character_set(self, station: str) -> str:
        """The character set in which a station is answered."""
        own = self.of_tenants.get(self.tenant(station), self.stations)
        return own.get(station) or "ISO_IR 192"

    def tenant(self, station: str) -> str:
        """The tenant whose worklist a station sees."""
        found = (tenant for tenant, stations in self.of_tenants.items() if station in stations)
        return next(found, DEFAULT_TENANT)

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants that have stations."""
        return (DEFAULT_TENANT, *(each for each in self.of_tenants if each != DEFAULT_TENANT))

    @property
    def may_call(self) -> list[str]:
        """The AE titles that may call; empty for any."""
        own = (title for stations in self.of_tenants.values() for title in stations)
        return [*self.stations, *own] if self.stations else []


def read_stations(text: str) -> dict[str, str]:
    """AE titles and character sets of `CT1, OLDCT=ISO_IR 100`.

    Raises ValueError for an AE title that DICOM does not allow, or an unknown character set.
    """
    found = {}
    for each in filter(None, (part.strip() for part in text.split(","))):
        title, _, name = (part.strip() for part in each.partition("="))
        found[check_title(title)] = _check_character_set(name) if name else ""
    return found


def _check_character_set(name: str) -> str:
    # Here, since pydicom takes long to import, and most servers have no use for it.
    from fhir_server.worklist.encoding import CODECS

    if name not in CODECS:
        raise ValueError(f"{name!r}: expected one of {', '.join(CODECS)}")
    return name


def check_title(title: str) -> str:
    """An AE title as it is. Raises ValueError unless DICOM allows it (PS3.5 6.2, AE)."""
    if not 1 <= len(title) <= 16 or not title.isascii() or not title.isprintable():
        raise ValueError(f"{title!r}: expected an AE title, 1 to 16 characters of ASCII")
    if "\\" in title or not title.strip():
        raise ValueError(f"{title!r}: an AE title has no backslash and is not blank")
    return title
