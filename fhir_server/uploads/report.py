"""What became of each file of an upload."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fhir_server.uploads.checking import CheckedFile

STORED, ALREADY, REFUSED = "stored", "already-stored", "refused"
SOURCES = ("manual", "api", "cd-import")


@dataclass(slots=True)
class FileReport:
    """One file. code, reason: why it was refused. md5: of the file that the archive has.

    checked: what it is, if it is DICOM. changes: tags that were corrected, before and after.
    """

    name: str
    size: int
    status: str = REFUSED
    code: str = ""
    reason: str = ""
    md5: str = ""
    checked: CheckedFile | None = None
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    private_removed: int = 0

    @property
    def taken(self) -> bool:
        """Whether the archive has it."""
        return self.status != REFUSED


@dataclass(slots=True)
class UploadReport:
    """An upload. order: the reference of the order that files were corrected to."""

    source: str
    started: datetime
    ended: datetime
    files: Sequence[FileReport]
    order: str = ""
    patient: str = ""
    record: str = ""

    @property
    def outcome(self) -> str:
        """`success`, `partial` or `failed`."""
        taken = sum(each.taken for each in self.files)
        if taken == len(self.files) and taken:
            return "success"
        return "partial" if taken else "failed"
