"""read and vread (R4 http.html#read, #vread)."""

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.guarding import may_read
from fhir_server.interactions.request import Request, tags
from fhir_server.interactions.result import Result
from fhir_server.interactions.subset import Subset
from fhir_server.interactions.writing import result_of
from fhir_server.outcome import Gone, Issue, NotFound
from fhir_server.storage import resources


async def read(engine: Engine, ctx: Context, request: Request) -> Result:
    """The current version, or 304 when the client has it already.

    Raises `NotFound`, and `Gone` for a deleted resource.
    """
    async with engine.store.connection(ctx.tenant) as connection:
        statements = engine.statements(ctx)
        row = await resources.read(connection, statements, request.type, request.id)
    if row is None or not may_read(engine, ctx, request.type, row[2]):
        raise not_found(request.type, request.id)
    version, last_updated, content = row
    if content is None:
        raise gone(request.type, request.id, version)
    result = Result(200, content, request.type, request.id, version, last_updated)
    return _shown(engine, request, result)


async def vread(engine: Engine, ctx: Context, request: Request) -> Result:
    """One version. Raises `NotFound`, and `Gone` where the version is the deletion."""
    stored = None
    if request.version.isascii() and request.version.isdigit() and len(request.version) < 10:
        async with engine.store.connection(ctx.tenant) as connection:
            stored = await resources.version(
                connection, engine.statements(ctx), request.type, request.id, int(request.version)
            )
    if stored is None or not may_read(engine, ctx, request.type, stored.content):
        name = f"{request.type}/{request.id}"
        raise NotFound(Issue("not-found", f"{name} has no version {request.version!r}"))
    if stored.content is None:
        raise gone(request.type, request.id, stored.version)
    return _shown(engine, request, result_of(stored, 200))


def _shown(engine: Engine, request: Request, result: Result) -> Result:
    """What the client gets of a version: nothing if it has it, else the part it asks for."""
    if _client_has(request, result):
        result.status = 304
        result.body = None
    elif request.query and result.body is not None:
        result.body = Subset.of(engine.definitions, request).apply(result.body)
    return result


def _client_has(request: Request, result: Result) -> bool:
    """Conditional read (R4 http.html#cread): a tag decides, else the time."""
    if request.if_none_match is not None:
        return request.if_none_match.strip() == "*" or result.version in tags(request.if_none_match)
    if request.if_modified_since is not None and result.last_updated is not None:
        return result.last_updated.replace(microsecond=0) <= request.if_modified_since
    return False


def not_found(type_: str, id_: str) -> NotFound:
    """The refusal for a resource that never was."""
    return NotFound(Issue("not-found", f"There is no {type_} with the id {id_!r}"))


def gone(type_: str, id_: str, version: int) -> Gone:
    """The refusal for a deleted resource; its tag names the deletion."""
    issue = Issue("deleted", f"{type_}/{id_} was deleted, as version {version}")
    return Gone(issue, headers={"ETag": f'W/"{version}"'})
