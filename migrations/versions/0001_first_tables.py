"""The first tables: resources, their history, ordered values, counters, jobs, outbox."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
create sequence row_id as bigint increment by 1000;

create table counter (
    name text collate "C" not null,
    scope text collate "C" not null,
    value bigint not null,
    constraint counter_pkey primary key (name, scope)
);

create table date_value (
    rid bigint not null,
    parameter bigint not null,
    low bigint not null,
    high bigint not null
);

create index date_value_ordered on date_value (parameter, low, high);

create index date_value_rid on date_value (rid);

create table history (
    rid bigint not null,
    type text collate "C" not null,
    id text collate "C" not null,
    version integer not null,
    last_updated timestamp with time zone not null,
    superseded timestamp with time zone not null,
    method text not null,
    content jsonb,
    exact text,
    constraint history_pkey primary key (type, id, version)
);

create index history_by_time on history (last_updated, rid);

create index history_by_type_time on history (type, last_updated, rid);

create table job (
    id bigint generated always as identity,
    kind text collate "C" not null,
    payload jsonb not null,
    state text collate "C" not null,
    attempts integer default 0 not null,
    run_at timestamp with time zone not null,
    claimed_until timestamp with time zone,
    last_error text,
    created timestamp with time zone not null,
    constraint job_pkey primary key (id)
);

create index job_due on job (kind, run_at) where state in ('queued', 'running');

create table number_value (
    rid bigint not null,
    parameter bigint not null,
    unit bigint not null,
    low numeric not null,
    high numeric not null
);

create index number_value_ordered on number_value (parameter, unit, low, high);

create index number_value_rid on number_value (rid);

create table outbox (
    position bigint generated always as identity,
    topic text collate "C" not null,
    type text collate "C" not null,
    id text collate "C" not null,
    version integer not null,
    recorded timestamp with time zone not null,
    delivered boolean default false not null,
    constraint outbox_pkey primary key (position)
);

create index outbox_pending on outbox (topic, position) where not delivered;

create table resource (
    rid bigserial not null,
    type text collate "C" not null,
    id text collate "C" not null,
    version integer not null,
    last_updated timestamp with time zone not null,
    method text not null,
    reference_key bigint not null,
    keys bigint[] not null,
    content jsonb,
    exact text,
    constraint resource_pkey primary key (rid),
    constraint resource_identity unique (type, id)
);

create index resource_by_time on resource (last_updated, rid);

create index resource_by_type on resource (type, rid);

create index resource_by_type_time on resource (type, last_updated, rid);

create index resource_keys on resource using gin (keys) with (gin_pending_list_limit = 256);

create table string_value (
    rid bigint not null,
    parameter bigint not null,
    value text collate "C" not null
);

create index string_value_ordered on string_value (parameter, value);

create index string_value_rid on string_value (rid);
"""

PURPOSES = """
comment on table counter is
    'Numbers given out to orders and invoices, taken in blocks.';
comment on column counter.scope is 'what it restarts for, such as a year';
comment on column counter.value is 'the last number given out';
comment on index counter_pkey is 'taking the next numbers';
comment on table date_value is
    'Half-open UTC ranges at the stored precision: date search, sorting.';
comment on column date_value.low is 'microseconds since 1970, inclusive';
comment on column date_value.high is 'exclusive';
comment on index date_value_ordered is 'date search';
comment on index date_value_rid is 'removing a resource''s values when it changes';
comment on table history is
    'Superseded versions only, so that a create writes its content once: vread, history.';
comment on column history.superseded is 'when the next came';
comment on index history_by_time is 'history of the system';
comment on index history_by_type_time is 'history of a type';
comment on index history_pkey is 'vread and history of an instance';
comment on table job is
    'Durable work, written in the transaction that causes it.';
comment on column job.state is 'queued, running, done or failed';
comment on column job.run_at is 'not before';
comment on column job.claimed_until is 'after this a claim is void';
comment on index job_due is 'claiming the next due job of a kind';
comment on index job_pkey is 'one job';
comment on table number_value is
    'Numbers and quantities: range search, sorting.';
comment on column number_value.unit is 'hash of the unit, 0 for a bare number';
comment on column number_value.low is 'the lowest value';
comment on column number_value.high is 'the highest value, inclusive';
comment on index number_value_ordered is 'number and quantity search';
comment on index number_value_rid is 'removing a resource''s values when it changes';
comment on table outbox is
    'Events to hand on, written with the change they tell of.';
comment on index outbox_pending is 'the next events of a topic in order';
comment on index outbox_pkey is 'one event';
comment on table resource is
    'The current version of every resource: read, update, search.';
comment on column resource.rid is 'stable row id, also the default sort';
comment on column resource.method is 'verb that made this version, for history';
comment on column resource.reference_key is 'hash of ''Type/id'', for chains';
comment on column resource.keys is 'hashed search keys';
comment on column resource.content is 'null when the current version is a deletion';
comment on column resource.exact is 'the JSON text, only where jsonb would lose digits (1.0E+3)';
comment on index resource_by_time is 'history of the system';
comment on index resource_by_type is 'a page of one type in the stable default order';
comment on index resource_by_type_time is 'history of a type, _lastUpdated on a type';
comment on index resource_identity is 'read, update and delete by type and id';
comment on index resource_keys is 'search by token, reference, uri and exact string';
comment on index resource_pkey is 'joins from the value tables';
comment on table string_value is
    'Ordered texts: string search by prefix, sorting.';
comment on column string_value.parameter is 'hash of ''Type|code''';
comment on column string_value.value is 'folded: no case, no accents';
comment on index string_value_ordered is 'string search by prefix';
comment on index string_value_rid is 'removing a resource''s values when it changes';
"""


def upgrade() -> None:
    """Make the tables in the schema that the connection's search path names."""
    for statement in (TABLES + PURPOSES).split(";"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is nothing before the first tables; drop the tenant instead."""
    raise RuntimeError("the first revision cannot be undone: drop the tenant's schema instead")
