"""Observation/$lastn (R4 observation-operation-lastn.html)."""

from fhir_server.context import Context
from fhir_server.interactions.bundles import bundle, raw, url
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue
from fhir_server.search.latest import latest
from fhir_server.search.lookups import load
from fhir_server.search.query import Query, parse, shapes

_SUBJECTS = ("patient", "subject")
_KINDS = ("category", "code")


async def lastn(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The last observations of each code, the most recent first, of those that a search finds.

    Raises `Invalid` unless the search names whose they are, and what by category or code.
    """
    query = _query(engine, ctx, parameters)
    async with engine.store.connection(ctx.tenant) as connection:
        at = engine.settling(ctx, connection)
        places = await latest(at, query, parameters.one("max") or 1)
        most = engine.limits.largest_page
        if len(places) > most:
            text = f"{len(places)} observations are asked for; at most {most} are given at once"
            raise Invalid(Issue("too-costly", f"{text}: name categories or codes"), status=422)
        rows = {row.place: row for row in await load(at, places)} if places else {}
    entries = [
        {
            "fullUrl": f"{ctx.base_url}/Observation/{rows[place].id}",
            "resource": raw(rows[place].content or b""),
            "search": {"mode": "match"},
        }
        for place in places
    ]
    links = [("self", url(ctx, "Observation/$lastn", parameters.in_url()))]
    return Result(200, bundle(ctx, "searchset", links, entries, len(entries)))


def _query(engine: Engine, ctx: Context, parameters: Parameters) -> Query:
    shaping = [name for name, _ in parameters.search if shapes(name)]
    if shaping:
        text = f"$lastn takes search parameters that select, not {shaping[0]}"
        raise Invalid(Issue("not-supported", text))
    names = [name.partition(":")[0].partition(".")[0] for name, _ in parameters.search]
    if not any(name in _SUBJECTS for name in names):
        raise Invalid(Issue("required", "$lastn needs the search parameter patient or subject"))
    if not any(kind in name.split("-") for name in names for kind in _KINDS):
        text = "$lastn needs the search parameter category, or one of a code such as code"
        raise Invalid(Issue("required", text))
    index = engine.searchable(ctx)
    return parse(
        index.parameters,
        "Observation",
        parameters.search,
        engine.circumstances(ctx),
        unready=index.unready,
    )


LASTN = Operation("Observation-lastn", lastn, "The last observations of each code", searches=True)
