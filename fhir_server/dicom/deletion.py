"""Deleting images in the archive: asked for in one transaction, done and verified as a job."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fhir_server.background.work import Work
from fhir_server.context import Context
from fhir_server.dicom import records
from fhir_server.dicom.breaker import ArchiveAway
from fhir_server.dicom.orthanc import Orthanc
from fhir_server.interactions.changes import store_changes
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.rules import Change
from fhir_server.interactions.writing import instant_text
from fhir_server.security.principal import program
from fhir_server.storage import archive, jobs
from fhir_server.storage.store import Connection

DELETE_STUDY = "delete-study"
LEASE = timedelta(seconds=60)
# It is tried until it is done: an archive may be away for days.
MOST_ATTEMPTS = 1_000_000


async def ask(
    connection: Connection, ctx: Context, uid: str, ids: Sequence[str], reason: str, who: str
) -> None:
    """Have studies deleted, in the transaction that notes who wants it and why."""
    payload = {"study": uid, "ids": list(ids), "reason": reason, "who": who}
    await jobs.enqueue(connection, ctx.tenant, DELETE_STUDY, payload, ctx.now())


class Deleting:
    """Carries out deletions."""

    def __init__(self, engine: Engine, orthanc: Orthanc) -> None:
        self._engine = engine
        self._orthanc = orthanc

    async def __call__(self, work: Work) -> None:
        """Delete the studies of a job, make sure that they are gone, and note that they are."""
        payload = work.job.payload
        for id_ in payload["ids"]:
            await self._orthanc.delete_study(id_)
        for id_ in payload["ids"]:
            if await self._orthanc.study(id_) is not None:
                raise ArchiveAway("a study is still there after its deletion")
        ctx = Context(
            tenant=work.tenant,
            principal=program("image archive"),
            base_url=self._engine.where.base_url,
        ).at_once()
        async with self._engine.store.transaction(ctx.tenant) as connection:
            event = records.audit_of_deletion(
                payload["study"],
                {"display": payload["who"]},
                instant_text(ctx.now()),
                f"Deleted and verified: {payload['reason']}",
            )
            event["id"] = ctx.new_id()
            change = Change("AuditEvent", event["id"], None, event, "POST")
            await store_changes(self._engine, ctx, connection, [change])
            await archive.mark_deleted(
                connection, work.tenant, self._orthanc.name, payload["ids"], datetime.now(UTC)
            )
            await work.finish(connection)
