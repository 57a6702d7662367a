"""Which files hold the scripts that a person asks for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fhir_server.conformance.model import Script, label
from fhir_server.conformance.reading import Unreadable, read

_ENDINGS = (".json", ".xml")
# What every TestScript begins with, be it JSON or XML.
_NAME = b"TestScript"
_LOOKED_AT = 100_000


class NothingToTest(Exception):
    """A path that does not exist, or a folder without a TestScript."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file, with the script in it or why it cannot be carried out."""

    label: str
    script: Script | None
    problem: str = ""


def find(paths: Iterable[Path]) -> Iterator[Found]:
    """The scripts under the paths, in the order of their names. Raises NothingToTest.

    In a folder, files that are no TestScripts are left out, as fixtures lie beside scripts.
    """
    for path in paths:
        if not path.exists():
            raise NothingToTest(f"{path} does not exist")
        if path.is_file():
            yield _found(path, path.parent)
            continue
        files = sorted(each for each in path.rglob("*") if each.suffix.lower() in _ENDINGS)
        scripts = [each for each in files if each.is_file() and _is_script(each)]
        if not scripts:
            raise NothingToTest(f"{path} holds no TestScript (.json or .xml)")
        for each in scripts:
            yield _found(each, path)


def _found(path: Path, root: Path) -> Found:
    try:
        return Found(label(path, root), read(path, root))
    except Unreadable as error:
        return Found(label(path, root), None, str(error))


def _is_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
    except OSError:
        return False
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return b"<" + _NAME in start
    compact = b"".join(start.split())
    return b'"resourceType":"' + _NAME + b'"' in compact
