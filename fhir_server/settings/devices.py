"""Settings: what HL7 v2 systems, modalities and image archives talk to."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from fhir_server.messaging.settings import read_messaging
from fhir_server.settings.content import MEBIBYTE, ContentSettings
from fhir_server.worklist.settings import check_title, read_stations


class DeviceSettings(ContentSettings):
    """What HL7 v2 systems, modalities and image archives talk to."""

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

    @field_validator("worklist_title")
    @classmethod
    def _ae_title(cls, title: str) -> str:
        return check_title(title)

    @field_validator("worklist_stations")
    @classmethod
    def _ae_titles(cls, text: str | None) -> str | None:
        read_stations(text or "")
        return text

    @field_validator("mllp_config")
    @classmethod
    def _sound_messaging(cls, path: Path | None) -> Path | None:
        read_messaging(path, None, "")
        return path


def _pairs(text: str | None) -> tuple[tuple[str, str], ...]:
    parts = (each.partition("=") for each in (text or "").split())
    return tuple((name, value) for name, _, value in parts)
