"""An upload from what came to what the archive keeps: check, correct, send, record."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_server.context import Context
from fhir_server.dicom.breaker import ArchiveAway
from fhir_server.dicom.orthanc import ArchiveRefused, Orthanc, StoredInstance
from fhir_server.fhir_json import decode
from fhir_server.interactions.create import create
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.performing import denied
from fhir_server.interactions.request import Request
from fhir_server.outcome import Invalid, Issue
from fhir_server.security.access import CREATE, READ
from fhir_server.storage import resources
from fhir_server.uploads.archives import open_zips
from fhir_server.uploads.checking import CheckedFile, check
from fhir_server.uploads.correcting import Corrected, Correction, correct, to_order
from fhir_server.uploads.records import upload_record
from fhir_server.uploads.report import ALREADY, SOURCES, STORED, FileReport, UploadReport
from fhir_server.uploads.settings import UploadSettings
from fhir_server.uploads.spool import Spool, SpooledFile, Unusable, remove_abandoned
from fhir_server.workflow.canonicals import ACCESSION_NUMBER
from fhir_server.workflow.orders import order_type, own

Json = dict[str, Any]

_AT_ONCE = 4
# Larger files are sent piece by piece, and one at a time: an archive holds three times their size.
_LARGE = 4 * 1024 * 1024
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """How an upload is meant.

    order: `ServiceRequest/id` that files are corrected to; empty for none.
    study: the one study that files may belong to; empty for any.
    """

    source: str = "api"
    order: str = ""
    without_private: bool = False
    study: str = ""


@dataclass(frozen=True, slots=True)
class _Meant:
    asked: Asked
    correction: Correction
    patient: str = ""


class Uploads:
    """Takes uploads for one archive."""

    def __init__(
        self,
        engine: Engine,
        archive: Orthanc,
        settings: UploadSettings,
        accession_system: str = ACCESSION_NUMBER,
    ) -> None:
        self.settings = settings
        self._engine = engine
        self._archive = archive
        self._accession_system = accession_system
        self._large = asyncio.Semaphore(1)
        # Their own: they wait for the archive, and others must not wait for them.
        self._threads = ThreadPoolExecutor(_AT_ONCE, "upload")
        remove_abandoned(settings.folder)

    @staticmethod
    def check_granted(ctx: Context) -> None:
        """Raises a 403 `Refusal` unless images of any patient may be stored."""
        if not ctx.access.everyone("ImagingStudy", CREATE):
            raise denied("Storing images is not granted to you")

    async def take(self, ctx: Context, spool: Spool, asked: Asked) -> UploadReport:
        """Send what the spool has to the archive, and record what became of it.

        Raises `Invalid` for a source or an order that is none, a 413 `Refusal`, and `ArchiveAway`
        when the archive answers for no file.
        """
        started = ctx.now()
        if asked.order and not ctx.access.everyone("ServiceRequest", READ):
            raise denied("Storing images for an order is not granted to you")
        meant = await self._meant(ctx, asked)
        await asyncio.to_thread(open_zips, spool)
        if not spool.files:
            raise Invalid(Issue("required", "The upload has no file"), status=422)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def in_turn(file: SpooledFile) -> FileReport:
            async with turns:
                return await self._file(spool, file, meant)

        files = await asyncio.gather(*map(in_turn, spool.files))
        report = UploadReport(asked.source, started, ctx.now(), files, asked.order, meant.patient)
        report.record = await self._recorded(ctx.trusted(), report)
        if all(each.code == "archive-away" for each in files):
            raise ArchiveAway("none of the files could be sent")
        return report

    async def _meant(self, ctx: Context, asked: Asked) -> _Meant:
        if asked.source not in SOURCES:
            text = f"source={asked.source[:50]!r}: expected one of {', '.join(SOURCES)}"
            raise Invalid(Issue("value", text))
        if not asked.order:
            return _Meant(asked, Correction({}, asked.without_private))
        order, patient = await self.order(ctx, asked.order)
        zone = self._engine.where.zone
        accession = next(
            (
                each["value"]
                for each in order.get("identifier", ())
                if each.get("system") == self._accession_system
            ),
            "",
        )
        values = to_order(order, patient, accession, zone)
        return _Meant(asked, Correction(values, asked.without_private), f"Patient/{patient['id']}")

    async def order(self, ctx: Context, reference: str) -> tuple[Json, Json]:
        """An imaging order and its patient. Raises `Invalid`, 422."""
        bases = (ctx.base_url, self._engine.where.base_url)
        identity = own(reference, bases)
        async with self._engine.store.connection(ctx.tenant) as connection:
            statements = self._engine.statements(ctx)
            wanted = [identity] if identity and identity[0] == "ServiceRequest" else []
            found = await resources.read_many(connection, statements, wanted)
            order = decode(next(iter(found.values()), b"{}"))
            if order_type(order) != "imaging":
                text = f"order={reference[:100]!r}: expected a reference to an imaging order here"
                raise Invalid(Issue("not-found", text), status=422)
            subject = own(order["subject"]["reference"], bases)
            patients = await resources.read_many(
                connection, statements, [subject] if subject else []
            )
        patient = decode(next(iter(patients.values()), b"{}"))
        if patient.get("resourceType") != "Patient":
            text = f"{reference}: its patient is not here"
            raise Invalid(Issue("not-found", text), status=422)
        return order, patient

    async def _file(self, spool: Spool, file: SpooledFile, meant: _Meant) -> FileReport:
        report = FileReport(file.name, file.size, md5=file.md5)
        try:
            if file.refused is not None:
                raise file.refused
            loop = asyncio.get_running_loop()
            found, stored = await loop.run_in_executor(
                self._threads, self._begun, file, spool, meant, report
            )
            report.status = await self._sent(found, stored)
        except Unusable as unusable:
            report.code, report.reason = unusable.code, str(unusable)
        except ArchiveAway:
            report.code, report.reason = "archive-away", "could not be sent: try again"
        except ArchiveRefused as refused:
            report.code, report.reason = "archive-refused", f"is not taken: {refused}"
        return report

    def _begun(
        self, file: SpooledFile, spool: Spool, meant: _Meant, report: FileReport
    ) -> "tuple[_Prepared, StoredInstance | None]":
        """A file that was checked, and what became of it if it is small enough to be sent."""
        found = _prepared(file, spool, meant.correction)
        report.checked = found.checked
        if meant.asked.study and found.checked.study != meant.asked.study:
            raise Unusable("other-study", "belongs to another study than the URL names")
        report.md5 = found.md5
        report.changes = found.corrected.changes
        report.private_removed = found.corrected.private_removed
        if found.content is None:
            return found, None
        return found, self._archive.store_now(found.content)

    async def _sent(self, prepared: "_Prepared", stored: StoredInstance | None) -> str:
        if stored is None:
            async with self._large:
                stored = await self._archive.store(_pieces(prepared.path), prepared.size)
        if stored.status == "Success":
            return STORED
        if stored.status == "AlreadyStored":
            # The archive says nothing of what it kept.
            if await self._archive.md5(stored.id) == prepared.md5:
                return ALREADY
            text = "has the SOPInstanceUID of another file that the archive has, which stays"
            raise Unusable("duplicate-uid", text)
        raise Unusable("archive-refused", "is not taken by the archive's own rules")

    async def _recorded(self, ctx: Context, report: UploadReport) -> str:
        resource = upload_record(ctx, report)
        result = await create(self._engine, ctx, Request("POST", "AuditEvent", resource=resource))
        return f"{result.type}/{result.id}"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A file as it goes to the archive. content: all of it, if it is small."""

    checked: CheckedFile
    corrected: Corrected
    path: Path
    md5: str
    size: int
    content: bytes | None


def _prepared(file: SpooledFile, spool: Spool, correction: Correction) -> _Prepared:
    checked, corrected = check(file.path), Corrected({})
    path, md5 = file.path, file.md5
    if correction:
        target = spool.new_path()
        corrected = correct(file.path, target, correction)
        if corrected:
            # What goes to the archive is held to the same rules as what came.
            path, md5, checked = target, _md5(target), check(target)
    size = path.stat().st_size
    content = path.read_bytes() if size <= _LARGE else None
    return _Prepared(checked, corrected, path, md5, size, content)


def _md5(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as content:
        while piece := await asyncio.to_thread(content.read, _PIECE):
            yield piece
