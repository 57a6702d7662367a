"""Bounds of uploads."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """What one upload may bring.

    file_bytes, files, total_bytes: at most; those inside a zip file count like others.
    folder: where files lie until the archive has them; None for the system's folder.
    """

    file_bytes: int = 100 * 1024 * 1024
    files: int = 500
    total_bytes: int = 2 * 1024 * 1024 * 1024
    folder: Path | None = None
