"""The worklist as `.wl` files, for a site whose Orthanc answers modalities."""

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from fhir_server.outcome import Refusal
from fhir_server.worklist.answers import whole
from fhir_server.worklist.entries import Entries, Values
from fhir_server.worklist.reading import Found, TooMany, Wanted

log = logging.getLogger(__name__)

_EVERY_SECONDS = 5.0
# dcmtk and Orthanc pass over files that name no station.
_ANY = "ANY"
_STEP, _STATION = 0x00400100, 0x00400001
_OURS = re.compile(r"fhir-[A-Za-z0-9.-]{1,64}\.wl")


class Export:
    """Keeps a folder as the worklist is. Files that others put there stay.

    read: the steps. note: told of those that are about to be written, before they are.
    """

    def __init__(
        self,
        folder: Path,
        entries: Entries,
        read: Callable[[Wanted], Awaitable[Sequence[Found]]],
        note: Callable[[Sequence[Found]], Awaitable[None]],
    ) -> None:
        self._folder = folder
        self._entries = entries
        self._read = read
        self._note = note
        self._written: dict[str, int] = {}

    async def run(self) -> None:
        """Write what changed, every few seconds, until cancelled."""
        while True:
            try:
                await self.write()
            except (Refusal, OSError, TooMany) as error:
                log.warning("the worklist cannot be exported now: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)

    async def write(self) -> None:
        """Make the folder what the worklist is now."""
        steps = await self._read(Wanted())
        changed = await asyncio.to_thread(self._changed, steps)
        await self._note(changed)
        await asyncio.to_thread(self._write, changed, steps)

    def _changed(self, steps: Sequence[Found]) -> list[Found]:
        """Those whose file is not there, or not as they are now."""
        return [
            step
            for step in steps
            if self._written.get(_name(step)) != step.digest
            or not (self._folder / _name(step)).exists()
        ]

    def _write(self, changed: Sequence[Found], steps: Sequence[Found]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for step in changed:
            _save(self._folder / _name(step), step.id, self._entries.entry(step))
        wanted = {_name(step): step.digest for step in steps}
        for path in self._folder.glob("fhir-*.wl"):
            if path.name not in wanted and _OURS.fullmatch(path.name):
                path.unlink()
        self._written = wanted


def _name(step: Found) -> str:
    return f"fhir-{step.id}.wl"


def _save(path: Path, id_: str, entry: Values) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ModalityWorklistInformationFind
    meta.MediaStorageSOPInstanceUID = UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, id_).int}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # Under another name until it is whole: Orthanc reads what ends by .wl.
    partial = path.with_suffix(".tmp")
    dataset = FileDataset(str(partial), whole(_placed(entry)), file_meta=meta, preamble=b"\0" * 128)
    dataset.save_as(partial, enforce_file_format=True)
    partial.rename(path)


def _placed(entry: Values) -> Values:
    """An entry that names a station, if only any."""
    steps = entry[_STEP]
    assert isinstance(steps, list)
    return entry | {_STEP: [{**step, _STATION: step.get(_STATION) or (_ANY,)} for step in steps]}
