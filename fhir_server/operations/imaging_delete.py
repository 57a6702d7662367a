"""Deleting images in the archive, for a reason, by those who may: $delete-study.

The ImagingStudy stays, and says that its images are gone; so does its history.
"""

from typing import Any

from fhir_server.context import Context
from fhir_server.dicom import deletion, records
from fhir_server.dicom.holding import Holding
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations.imaging_link import change_study
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Conflict, Issue
from fhir_server.spec.operations import OWN_BASE
from fhir_server.storage import archive
from fhir_server.workflow.actors import Actor

Resource = dict[str, Any]

_DELETERS = frozenset({"administrator", "radiologist"})


async def delete_study(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Delete the images of a study; raises as `change_study`, and `Conflict` without images."""
    return await change_study(engine, ctx, parameters, _DELETERS, _delete)


async def _delete(
    holding: Holding, parameters: Parameters, study: Resource, actor: Actor, reason: str
) -> Resource:
    ctx, connection = holding.ctx, holding.connection
    rows = await archive.under(connection, ctx.tenant, holding.uid)
    if any(row.deleting for row in rows) and study["status"] == "cancelled":
        return study
    wanted = parameters.text("archive-study")
    ids = [row.id for row in rows if not wanted or row.id == wanted]
    if not ids:
        text = f"ImagingStudy/{holding.uid} has no such images in the archive"
        raise Conflict(Issue("not-found", text))
    if len(ids) > 1:
        text = (
            f"{len(ids)} studies in the archive have this study UID: {', '.join(ids)}; "
            "archive-study names the one to delete"
        )
        raise Conflict(Issue("multiple-matches", text))
    await archive.mark_deleting(connection, ctx.tenant, holding.uid, ids)
    who = dict(actor.reference)
    name = str(who.get("reference") or who.get("display") or ctx.principal.name)
    await deletion.ask(connection, ctx, holding.uid, ids, reason, name)
    targets = ["/".join(holding.identity)]
    holding.tell(records.provenance("delete", targets, who, holding.at, reason))
    holding.tell(
        records.audit_of_deletion(holding.uid, who, holding.at, f"Asked for: {reason}", outcome="4")
    )
    return study | {"status": "cancelled"} if len(rows) == 1 else study


DELETE_STUDY = Operation(
    "ImagingStudy-delete-study", delete_study, "Delete the images of a study", writes=True,
    touches=("ImagingStudy",),
    base=OWN_BASE,
)  # fmt: skip
