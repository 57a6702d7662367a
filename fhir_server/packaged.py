"""Where the data folders at the repository's root are: in a checkout, or inside the wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The folder `mappings`, `profiles`, `migrations` or `orthanc`.

    Raises FileNotFoundError when the installation lacks it.
    """
    for candidate in (_PACKAGE / "_packaged" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the folder {name!r} is not part of this installation")
