"""Writing a territory as files: NDJSON, a resource a line, a file a type."""

import tarfile
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from fhir_server.interactions.auditing import patients_in
from fhir_server.sealing.tenants import Seals
from fhir_server.storage import export, index_state
from fhir_server.storage.export import Version
from fhir_server.storage.store import PooledStore
from fhir_server.tenant_command.noting import note_export

_ONE_STATE = "set transaction isolation level repeatable read, read only"
ARCHIVE = ".tar.gz"
MANIFEST = "export.json"
_HISTORY = "history"


@contextmanager
def destination(target: Path, tenant: str, *, history: bool) -> Iterator[Path]:
    """A folder to write to, which is the target when the block ends without an error.

    target: a folder that is made, or a file that ends in `.tar.gz`. Raises FileExistsError.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.absolute().parent) as name:
        folder = Path(name) / tenant
        (folder / _HISTORY if history else folder).mkdir(parents=True)
        yield folder
        if target.name.endswith(ARCHIVE):
            packed = Path(name) / "packed"
            with tarfile.open(packed, "w:gz") as archive:
                archive.add(folder, tenant)
            packed.rename(target)
        else:
            folder.rename(target)


async def export_to(
    folder: Path, store: PooledStore, seals: Seals, tenant: str, *, history: bool
) -> int:
    """Write all resources as they were at one time, and note it; how many there are."""
    patients: set[str] = set()
    async with store.transaction(tenant) as connection:
        await connection.execute(_ONE_STATE)
        state = await index_state.load(connection, tenant)
        await seals.adopt(connection, tenant, state.sealing)
        seal = store.statements(tenant).seal
        found = export.versions(connection, tenant, seal, former=False)
        counts = await _in_files(found, folder, patients)
        if history:
            former = export.versions(connection, tenant, seal, former=True)
            await _in_files(former, folder / _HISTORY, patients)
    await note_export(store, tenant, patients)
    manifest = {
        "tenant": tenant,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "resources": dict(counts),
        "history": history,
    }
    with _files(folder) as files:
        files(MANIFEST).write(msgspec.json.format(msgspec.json.encode(manifest)))
    return counts.total()


async def _in_files(
    found: AsyncIterator[Version], folder: Path, patients: set[str]
) -> Counter[str]:
    """Versions by type; deletions have a file of their own, since there is no resource to them.

    patients: gets those that some version names.
    """
    counts: Counter[str] = Counter()
    with _files(folder) as files:
        async for each in found:
            if each.content is None:
                line = msgspec.json.encode(each._asdict() | {"content": None})
                files("deleted.ndjson").write(line + b"\n")
            else:
                files(f"{each.type}.ndjson").write(each.content.replace(b"\n", b" ") + b"\n")
                counts[each.type] += 1
                patients.update(patients_in(each.content))
                if each.type == "Patient":
                    patients.add(f"Patient/{each.id}")
    return counts


@contextmanager
def _files(folder: Path) -> "Iterator[_Files]":
    files = _Files(folder)
    try:
        yield files
    finally:
        files.close()


class _Files:
    """Files by name, of which two are open: resources come in the order of their types."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, IO[bytes]] = {}

    def __call__(self, name: str) -> IO[bytes]:
        file = self._open.get(name)
        if file is None:
            if len(self._open) > 1:
                self._open.pop(
                    next(each for each in self._open if each != "deleted.ndjson")
                ).close()
            file = self._open[name] = (self._folder / name).open("ab")
        return file

    def close(self) -> None:
        for file in self._open.values():
            file.close()
