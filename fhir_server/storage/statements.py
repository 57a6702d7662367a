"""The SQL that reads and writes resources, once for each tenant's schema."""

from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from itertools import product
from typing import TypeAlias

from fhir_server.storage.migrate import schema_name
from fhir_server.storage.seal import Seal

# Whether a version has strings, dates, numbers, contained resources and an audit event.
Kinds: TypeAlias = tuple[bool, ...]

_CONTENT = "coalesce(exact, content::text)"
_VERSION_COLUMNS = f"rid, type, id, version, last_updated, method, {_CONTENT} as content"

# One part of a statement for each kind of rows that a version has.
_INSERT_VALUES = (
    """strings as (
  insert into {s}.string_value (rid, parameter, value)
  select written.rid, parameter, value
  from written, unnest(%(string_parameters)s::bigint[], %(string_values)s::text[])
    as t (parameter, value)
)""",
    """dates as (
  insert into {s}.date_value (rid, parameter, low, high)
  select written.rid, parameter, low, high
  from written, unnest(%(date_parameters)s::bigint[], %(date_lows)s::bigint[],
                       %(date_highs)s::bigint[]) as t (parameter, low, high)
)""",
    """numbers as (
  insert into {s}.number_value (rid, parameter, unit, low, high)
  select written.rid, parameter, unit, low, high
  from written, unnest(%(number_parameters)s::bigint[], %(number_units)s::bigint[],
                       %(number_lows)s::numeric[], %(number_highs)s::numeric[])
    as t (parameter, unit, low, high)
)""",
    """contained as (
  insert into {s}.contained (container, place, type, id, reference_key, keys, targets)
  select written.rid, place, type, id, reference_key, keys::bigint[], targets::bigint[]
  from written, unnest(%(contained_places)s::int[], %(contained_types)s::text[],
                       %(contained_ids)s::text[], %(contained_references)s::bigint[],
                       %(contained_keys)s::text[], %(contained_targets)s::text[])
    as t (place, type, id, reference_key, keys, targets)
)""",
    """audited as (
  insert into {s}.audit_pending (line) select %(audit)s from written
)""",
)

# What is written was made with the search parameters of a generation; nothing is stored when there
# is a newer one. The writer then asks which of the reasons it was.
_CURRENT = "(select generation from {s}.index_state) = %(generation)s"

_CREATE = f"""
with written as (
  insert into {{s}}.resource
    (rid, type, id, version, last_updated, method, reference_key, keys, targets, content,
     exact)
  select %(rid)s, %(type)s, %(id)s, %(version)s, %(last_updated)s, %(method)s,
         %(reference_key)s, %(keys)s::bigint[], %(targets)s::bigint[],
         %(content)s::jsonb, %(exact)s
  where {_CURRENT}
  on conflict (type, id) do nothing
  returning rid
){{values}}
select rid from written"""

# As _CREATE, for some first versions at once; each row of values names its resource.
_CREATE_SOME = f"""
with written as (
  insert into {{s}}.resource
    (rid, type, id, version, last_updated, method, reference_key, keys, targets, content,
     exact)
  select rid, type, id, version, last_updated, method, reference_key, keys::bigint[],
         targets::bigint[], content, exact
  from rows from (
    unnest(%(rids)s::bigint[], %(types)s::text[], %(ids)s::text[], %(versions)s::int[],
           %(last_updated)s::timestamptz[], %(methods)s::text[], %(reference_keys)s::bigint[],
           %(keys)s::text[], %(targets)s::text[], %(exacts)s::text[]),
    jsonb_array_elements(%(contents)s::jsonb)
  ) as t (rid, type, id, version, last_updated, method, reference_key, keys, targets, exact,
          content)
  where {_CURRENT}
  returning rid
){{values}}
select count(*) from written"""

_INSERT_VALUES_OF_SOME = (
    """strings as (
  insert into {s}.string_value (rid, parameter, value)
  select rid, parameter, value
  from unnest(%(string_rids)s::bigint[], %(string_parameters)s::bigint[],
              %(string_values)s::text[]) as t (rid, parameter, value)
  where exists (select from written)
)""",
    """dates as (
  insert into {s}.date_value (rid, parameter, low, high)
  select rid, parameter, low, high
  from unnest(%(date_rids)s::bigint[], %(date_parameters)s::bigint[], %(date_lows)s::bigint[],
              %(date_highs)s::bigint[]) as t (rid, parameter, low, high)
  where exists (select from written)
)""",
    """numbers as (
  insert into {s}.number_value (rid, parameter, unit, low, high)
  select rid, parameter, unit, low, high
  from unnest(%(number_rids)s::bigint[], %(number_parameters)s::bigint[],
              %(number_units)s::bigint[], %(number_lows)s::numeric[], %(number_highs)s::numeric[])
    as t (rid, parameter, unit, low, high)
  where exists (select from written)
)""",
    """contained as (
  insert into {s}.contained (container, place, type, id, reference_key, keys, targets)
  select rid, place, type, id, reference_key, keys::bigint[], targets::bigint[]
  from unnest(%(contained_rids)s::bigint[], %(contained_places)s::int[],
              %(contained_types)s::text[], %(contained_ids)s::text[],
              %(contained_references)s::bigint[], %(contained_keys)s::text[],
              %(contained_targets)s::text[])
    as t (rid, place, type, id, reference_key, keys, targets)
  where exists (select from written)
)""",
    """audited as (
  insert into {s}.audit_pending (line)
  select line from unnest(%(audits)s::text[]) as line
  where exists (select from written)
)""",
    """claimed as (
  insert into {s}.claimed_number (system, value, holder)
  select system, value, holder
  from unnest(%(claim_systems)s::text[], %(claim_values)s::text[], %(holders)s::text[])
    as t (system, value, holder)
  where exists (select from written)
)""",
)

# Every part of one statement sees the tables as they were when it began: the old values go before
# the new ones come because the deletions cannot see rows that this statement inserts. Nor can they
# see values that were read anew meanwhile (`storage.reindex`), which changes no version. So the row
# must be the very one that was seen.
_REPLACE = f"""
with old as materialized (
  select xmin as seen, rid, type, id, version, last_updated, method, content, exact
  from {{s}}.resource where rid = %(rid)s
), written as (
  update {{s}}.resource r
  set version = %(version)s, last_updated = %(last_updated)s, method = %(method)s,
      keys = %(keys)s::bigint[], targets = %(targets)s::bigint[],
      content = %(content)s::jsonb, exact = %(exact)s
  from old
  where r.rid = %(rid)s and r.version = %(expected)s and r.xmin = old.seen and {_CURRENT}
  returning r.rid
), superseded as (
  insert into {{s}}.history
    (rid, type, id, version, last_updated, superseded, method, content, exact)
  select old.rid, old.type, old.id, old.version, old.last_updated, %(last_updated)s, old.method,
         old.content, old.exact
  from old where exists (select from written)
), old_strings as (
  delete from {{s}}.string_value where rid = %(rid)s and exists (select from written)
), old_dates as (
  delete from {{s}}.date_value where rid = %(rid)s and exists (select from written)
), old_numbers as (
  delete from {{s}}.number_value where rid = %(rid)s and exists (select from written)
), old_contained as (
  delete from {{s}}.contained where container = %(rid)s and exists (select from written)
){{values}}
select rid from written"""

_HISTORY_PAGE = """
(select {columns} from {s}.resource
 where {scope} and last_updated >= %(since)s and last_updated < %(before)s
   and (last_updated, rid, version) < (%(at)s, %(at_rid)s, %(at_version)s)
 order by last_updated desc, rid desc, version desc limit %(limit)s)
union all
(select {columns} from {s}.history
 where {scope} and last_updated >= %(since)s and last_updated < %(before)s
   and superseded > %(alive)s
   and (last_updated, rid, version) < (%(at)s, %(at_rid)s, %(at_version)s)
 order by last_updated desc, rid desc, version desc limit %(limit)s)
order by last_updated desc, rid desc, version desc limit %(limit)s"""

_HISTORY_COUNT = """
select (select count(*) from {s}.resource
        where {scope} and last_updated >= %(since)s and last_updated < %(before)s)
     + (select count(*) from {s}.history
        where {scope} and last_updated >= %(since)s and last_updated < %(before)s
          and superseded > %(alive)s)"""

_HISTORY_SCOPES = {
    "instance": "type = %(type)s and id = %(id)s",
    "type": "type = %(type)s",
    "system": "true",
}


# As many are read by one statement.
READ_TOGETHER = 8

_READ_ONE = (
    "select type, id, convert_to(coalesce(exact, content::text), 'UTF8') from {s}.resource "
    "where type = %s and id = %s and content is not null"
)


class Statements:
    """The statements of one tenant; `schema` is its quoted schema name.

    seal: what contents go through on their way to the tables and back; None for nothing.
    """

    seal: Seal | None = None

    def sealed_by(self, seal: Seal) -> "Statements":
        """The same, for a tenant of which elements are encrypted at rest."""
        found = copy(self)
        found.seal = seal
        return found

    def __init__(self, schema: str) -> None:
        s = self.schema = f'"{schema}"'

        def sql(template: str) -> str:
            return template.replace("{s}", s)

        self.read = sql(
            "select version, last_updated, convert_to(coalesce(exact, content::text), 'UTF8') "
            "from {s}.resource where type = %s and id = %s"
        )
        # By how many are read: each is found by the unique index, so these are prepared.
        self.read_some = tuple(
            sql(" union all ".join([_READ_ONE] * (number + 1))) for number in range(READ_TOGETHER)
        )
        self.read_version = sql(
            f"select {_VERSION_COLUMNS} from {{s}}.resource "
            "where type = %(type)s and id = %(id)s and version = %(version)s union all "
            f"select {_VERSION_COLUMNS} from {{s}}.history "
            "where type = %(type)s and id = %(id)s and version = %(version)s"
        )
        self.current = sql(
            f"select {_VERSION_COLUMNS} from {{s}}.resource where type = %s and id = %s"
        )
        self.current_many = sql(
            f"select {_VERSION_COLUMNS} from {{s}}.resource "
            "where (type, id) in (select * from unnest(%s::text[], %s::text[])) "
            "order by type, id for update"
        )
        # By which kinds of rows the version has: what is absent costs nothing.
        self.create = {kinds: sql(_writing(_CREATE, kinds)) for kinds in _KINDS}
        self.create_some = {
            (*kinds, claims): sql(_writing(_CREATE_SOME, (*kinds, claims), _INSERT_VALUES_OF_SOME))
            for kinds in _KINDS
            for claims in (False, True)
        }
        self.replace = {kinds: sql(_writing(_REPLACE, kinds)) for kinds in _KINDS}
        self.generation = sql("select generation from {s}.index_state")
        # Gives the transaction a number, so that who changes the generation can wait for it.
        self.pinned_generation = sql(
            "select generation, pg_current_xact_id()::text from {s}.index_state"
        )
        self.next_row_id = sql("select nextval('{s}.row_id')")
        self.holding = sql(
            "select type, id from {s}.resource where keys && %s::bigint[] "
            "and content is not null and type <> all(%s::text[])"
        )
        self.matching_keys = sql(
            "select wanted.key, min(r.id), max(r.id) from {s}.resource r "
            "join unnest(%(keys)s::bigint[]) as wanted (key) on wanted.key = any(r.keys) "
            "where r.keys && %(keys)s::bigint[] group by wanted.key"
        )
        self.copy_resource = sql(
            "copy {s}.resource (rid, type, id, version, last_updated, method, reference_key, "
            "keys, targets, content, exact) from stdin"
        )
        self.copy_strings = sql("copy {s}.string_value (rid, parameter, value) from stdin")
        self.copy_dates = sql("copy {s}.date_value (rid, parameter, low, high) from stdin")
        self.copy_numbers = sql(
            "copy {s}.number_value (rid, parameter, unit, low, high) from stdin"
        )
        self.copy_contained = sql(
            "copy {s}.contained (container, place, type, id, reference_key, keys, targets) "
            "from stdin"
        )
        self.copy_audits = sql("copy {s}.audit_pending (line) from stdin")
        self.secret = sql("select value from {s}.secret where name = %s")
        self.learn = sql(
            "with heard as (select * from unnest(%s::bigint[], %s::text[]) t (parameter, value)), "
            "known as (select heard.parameter, heard.value, bool_or(age(k.xmin) > "
            "age(pg_snapshot_xmin(pg_current_snapshot())::xid)) as lasting from heard "
            "join {s}.vocabulary k using (parameter, value) group by 1, 2), "
            "learnt as (insert into {s}.vocabulary (parameter, value) "
            "select parameter, value from heard where (parameter, value) not in "
            "(select parameter, value from known)) "
            "select parameter, value from known where lasting"
        )
        self.counts_by_type = sql(
            "select type, count(*) from {s}.resource where content is not null group by type"
        )
        # By level, and for pages by whether the oldest version comes first.
        self.history_counts = {
            level: sql(_HISTORY_COUNT.replace("{scope}", scope))
            for level, scope in _HISTORY_SCOPES.items()
        }
        self.history_pages = {
            (level, oldest_first): sql(_history_page(scope, oldest_first))
            for level, scope in _HISTORY_SCOPES.items()
            for oldest_first in (False, True)
        }


_KINDS = tuple(product((False, True), repeat=len(_INSERT_VALUES)))


def _writing(template: str, kinds: Kinds, values: Sequence[str] = _INSERT_VALUES) -> str:
    parts = [part for part, wanted in zip(values, kinds, strict=True) if wanted]
    return template.replace("{values}", "".join(f", {part}" for part in parts))


def _history_page(scope: str, oldest_first: bool) -> str:
    page = _HISTORY_PAGE.replace("{columns}", _VERSION_COLUMNS).replace("{scope}", scope)
    if oldest_first:
        page = page.replace(" desc", "").replace("version) < (", "version) > (")
    return page


@lru_cache(maxsize=1024)
def statements_for(tenant: str) -> Statements:
    """The statements of a tenant. Raises ValueError for a name no tenant can have."""
    return Statements(schema_name(tenant))


LOCK_NAMES = "select pg_advisory_xact_lock(name) from unnest(%s::bigint[]) as name"
