"""Which resources a condition means, and that nobody else decides the same at once.

R4 http.html#ccreate, #cond-update, #3.1.0.7.1 (conditional delete), #trules (references).
"""

from collections.abc import Iterable
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import decode_query
from fhir_server.outcome import Invalid, Issue, PreconditionFailed
from fhir_server.search import execute
from fhir_server.search.conditions import Keys
from fhir_server.search.keys import hash64_uncached
from fhir_server.search.query import Query, parse, shapes
from fhir_server.storage import resources
from fhir_server.storage.store import Connection

# Left as they are in a condition's text: they have no meaning of their own in a query.
_READABLE = ":/|,@"


# Parameters of a conditional interaction's URL that say how to answer, not what to select.
_SHAPING = frozenset({"_format", "_pretty"})


class Condition:
    """A type and the search that singles out one resource of it.

    Raises `Invalid` for a search that selects nothing in particular or that is not understood.
    """

    def __init__(
        self, engine: Engine, ctx: Context, type_: str, query: Iterable[tuple[str, str]]
    ) -> None:
        selecting = [(name, value) for name, value in query if name not in _SHAPING]
        if misplaced := sorted({name for name, _ in selecting if shapes(name)}):
            text = f"A condition selects resources; {', '.join(misplaced)} cannot be part of one"
            raise Invalid(Issue("invalid", text))
        if not selecting:
            raise Invalid(
                Issue("required", f"The condition on {type_} is empty; expected a search parameter")
            )
        self.type = type_
        self.text = f"{type_}?{urlencode(sorted(selecting), safe=_READABLE)}"
        index = engine.searchable(ctx)
        self.query: Query = parse(
            index.parameters,
            type_,
            selecting,
            engine.circumstances(ctx),
            unready=index.unready,
        )

    @classmethod
    def of_text(cls, engine: Engine, ctx: Context, type_: str, text: str) -> "Condition":
        """The condition of an If-None-Exist header, `identifier=a|b`, with or without `Type?`."""
        for prefix in (f"{ctx.base_url}/{type_}?", f"{type_}?", "?"):
            if text.startswith(prefix):
                text = text.removeprefix(prefix)
                break
        return cls(engine, ctx, type_, decode_query(text))

    @property
    def lock(self) -> int:
        """Names the condition, so that two writers that state it take turns."""
        return hash64_uncached(self.text)

    @property
    def key(self) -> int | None:
        """The one search key that this asks for, when that is all it asks for."""
        condition = self.query.condition
        if isinstance(condition, Keys) and len(condition.any_of) == 1:
            return condition.any_of[0]
        return None


async def matches(
    engine: Engine, ctx: Context, connection: Connection, conditions: Iterable[Condition]
) -> dict[str, list[str]]:
    """Up to two ids for each condition, by its text.

    Conditions that are one search key, which nearly all are, are looked up by one statement.
    """
    found: dict[str, list[str]] = {}
    by_key: dict[int, list[str]] = {}
    statements = engine.statements(ctx)
    at = engine.settling(ctx, connection)
    for condition in {condition.text: condition for condition in conditions}.values():
        if condition.key is not None and at.visible is None:
            by_key.setdefault(condition.key, []).append(condition.text)
        else:
            found[condition.text] = await execute.ids(at, condition.query)
    for key, hits in (await resources.matching_keys(connection, statements, list(by_key))).items():
        found.update(dict.fromkeys(by_key[key], hits))
    return found


def one_match(condition: Condition, hits: list[str]) -> str | None:
    """The id that a condition means, None for none. Raises `PreconditionFailed` for several."""
    if len(hits) > 1:
        raise PreconditionFailed(
            Issue("multiple-matches", f"The condition {condition.text} matches several resources")
        )
    return hits[0] if hits else None


async def find(
    engine: Engine, ctx: Context, connection: Connection, condition: Condition
) -> str | None:
    """The id that a condition means now, None for none."""
    hits = await matches(engine, ctx, connection, [condition])
    return one_match(condition, hits[condition.text])
