"""Whether somebody may make a change, seen by what is there and by what would come."""

from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.hiding import keeping_hidden
from fhir_server.interactions.sight import sight_of
from fhir_server.outcome import Forbidden, Issue, Refusal
from fhir_server.security.access import CREATE, DELETE, READ, UPDATE
from fhir_server.storage.resources import Stored

Resource = dict[str, Any]


def may_read(engine: Engine, ctx: Context, type_: str, content: bytes | None) -> bool:
    """Whether a version may be read; one without content only by who may read all of its type."""
    if ctx.access.everyone(type_, READ):
        return True
    sight = sight_of(engine, ctx)
    return sight is None or (content is not None and sight.admits(decode(content)))


def guarded(
    engine: Engine, ctx: Context, identity: tuple[str, str], old: Stored | None,
    new: Resource | None,
) -> Resource | None:  # fmt: skip
    """What becomes of a resource that somebody changes: elements they do not see stay as they were.

    old: the current version. new: what they send; None deletes. Raises a 403 `Refusal` for what is
    not granted, the same whether there is such a resource or not, if they may not see all of them.
    """
    sight = sight_of(engine, ctx)
    if sight is None:
        return new
    type_, id_ = identity
    exists = old is not None and old.content is not None
    letter = DELETE if new is None else UPDATE if exists else CREATE
    before = decode(old.content) if old is not None and old.content is not None else None
    if before is not None and not sight.admits(before, letter):
        raise not_yours(type_, id_)
    if before is None and id_ and not ctx.access.everyone(type_, letter):
        # Under an id of their choosing, what is there and hidden would be told from what is not.
        raise not_yours(type_, id_)
    if new is None:
        return None
    kept = keeping_hidden(ctx.access, new, before)
    if not sight.admits(kept, letter):
        raise Forbidden(
            Issue("forbidden", f"A {type_} such as this one is not granted to you to write"),
        )
    return kept


def not_yours(type_: str, id_: str) -> Refusal:
    """The refusal for what may not be changed, be it there or not."""
    text = f"There is no {type_} with the id {id_!r} that is granted to you to change"
    return Forbidden(Issue("forbidden", text))
