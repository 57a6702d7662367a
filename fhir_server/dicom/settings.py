"""Where the images are, and how the bridge to them behaves."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """One Orthanc.

    name: what its studies are kept under here; it stays when the address changes.
    url: of its REST API, without a slash at the end. user, password: for HTTP Basic.
    timeout: seconds for an answer, not for a transfer. connect_timeout: for a connection.
    """

    url: str
    user: str = ""
    password: str = ""
    name: str = "orthanc"
    timeout: float = 30.0
    connect_timeout: float = 3.0


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """How studies become ImagingStudies.

    secret: that the plugin signs its hints with; empty takes no hints.
    zone: of dates and times in images that name none.
    poll: seconds between two looks at what changed. reconcile: between two comparisons of all.
    accession_system: of accession numbers in images that name no issuer.
    issuers: systems by the issuer of accession numbers as images name them.
    patient_systems: systems by the issuer of patient ids as images name them.
    wado_url: public base of DICOMweb, which is ours and never the archive's; empty for none yet.
    """

    secret: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    poll: float = 5.0
    reconcile: float = 300.0
    accession_system: str = ""
    issuers: tuple[tuple[str, str], ...] = ()
    patient_systems: tuple[tuple[str, str], ...] = ()
    wado_url: str = ""
