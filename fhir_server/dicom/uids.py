"""What names things in DICOM and in an archive, checked before it becomes part of a URL.

An Orthanc resolves dots in a path even where they are percent-encoded: a name that is not what it
is taken for would reach its whole administration.
"""

import re

LONGEST_UID = 64

_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_ARCHIVE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}")


def is_uid(text: str) -> bool:
    """Whether a text is a UID (DICOM PS3.5 9.1)."""
    return len(text) <= LONGEST_UID and _UID.fullmatch(text) is not None


def is_archive_id(text: str) -> bool:
    """Whether a text is an id as Orthanc gives them to patients, studies, series and instances."""
    return _ARCHIVE_ID.fullmatch(text) is not None


def checked_uid(text: str) -> str:
    """A UID as it is. Raises ValueError for anything else."""
    if not is_uid(text):
        raise ValueError(f"{text!r}: expected a DICOM UID, digits and dots, 64 at most")
    return text


def checked_archive_id(text: str) -> str:
    """An id of Orthanc as it is. Raises ValueError for anything else."""
    if not is_archive_id(text):
        raise ValueError(f"{text!r}: expected an id of Orthanc, five times eight hex digits")
    return text
