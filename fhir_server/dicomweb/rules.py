"""Which studies may be seen: those that stand here as an ImagingStudy with images."""

from collections.abc import Collection, Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.sight import sight_of
from fhir_server.outcome import Issue, NotFound
from fhir_server.storage import resources

Json = dict[str, Any]

_SEEN = "available"


async def seen(engine: Engine, ctx: Context, uids: Collection[str]) -> Mapping[str, Json]:
    """The ImagingStudies of those studies that may be seen, by UID."""
    wanted = [("ImagingStudy", uid) for uid in uids]
    async with engine.store.connection(ctx.tenant) as connection:
        found = await resources.read_many(connection, engine.statements(ctx), wanted)
    studies = {id_: decode(content) for (_, id_), content in found.items()}
    sight = sight_of(engine, ctx)
    return {
        uid: each
        for uid, each in studies.items()
        if each.get("status") == _SEEN and (sight is None or sight.admits(each))
    }


async def check_seen(engine: Engine, ctx: Context, uid: str) -> Json:
    """The ImagingStudy of a study. Raises `NotFound` unless it may be seen."""
    found = await seen(engine, ctx, [uid])
    if uid not in found:
        raise NotFound(Issue("not-found", f"There is no study {uid} with images here"))
    return found[uid]
