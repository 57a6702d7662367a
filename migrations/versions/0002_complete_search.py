"""What complete search needs: link targets, distinct texts, ordered indexes, states, secrets."""

from alembic import op

revision = "0002"
down_revision = "0001"

# The entries of the index are made anew in the background: `index_state.format` stays 1 until the
# release that migrates has read every resource again, and until then searches say so.
CHANGES = """
alter table resource add column targets bigint[] default '{}'::bigint[] not null;
create index resource_reference_key on resource (reference_key);

drop index resource_by_type;
create index resource_by_type on resource (type, rid) where content is not null;

drop index string_value_ordered;
create index string_value_ordered on string_value (parameter, value, rid);
drop index date_value_ordered;
create index date_value_ordered on date_value (parameter, low, rid) include (high);
drop index number_value_ordered;
create index number_value_ordered on number_value (parameter, unit, low, rid) include (high);
create index number_value_spread on number_value (parameter, unit, high) where low < high;
create index date_value_long on date_value (parameter, high) where high - low > 90000000000;

-- A plan is as good as what is known, and PostgreSQL looks again only when a tenth has changed.
alter table resource set (autovacuum_analyze_scale_factor = 0.02);
alter table string_value set (autovacuum_analyze_scale_factor = 0.02);
alter table date_value set (autovacuum_analyze_scale_factor = 0.02);
alter table number_value set (autovacuum_analyze_scale_factor = 0.02);

create table contained (
    container bigint not null,
    place integer not null,
    type text collate "C" not null,
    id text collate "C" not null,
    reference_key bigint not null,
    keys bigint[] not null,
    targets bigint[] not null
);
create index contained_container on contained (container, place);
create index contained_by_type on contained (type, place, container);
create index contained_reference_key on contained (reference_key);
create index contained_keys on contained using gin (keys) with (gin_pending_list_limit = 256);
alter table contained set (autovacuum_analyze_scale_factor = 0.02);

create table vocabulary (
    parameter bigint not null,
    value text collate "C" not null
);
create index vocabulary_ordered on vocabulary (parameter, value);

create table index_state (
    generation integer not null,
    format integer not null,
    target integer not null
);
insert into index_state (generation, format, target) values (0, 1, 1);

create table search_parameter (
    source text collate "C" not null,
    definition jsonb not null,
    state text collate "C" not null,
    redefined boolean not null,
    generation integer not null,
    types text[] collate "C" not null,
    constraint search_parameter_pkey primary key (source)
);

create table secret (
    name text collate "C" not null,
    value bytea not null,
    constraint secret_pkey primary key (name)
);
insert into secret (name, value) values
    ('cursor', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));
"""

PURPOSES = """
comment on column resource.targets is 'hashes of the ''Type/id'' it refers to, for chains';
comment on index resource_reference_key is 'from a link to its target';
comment on index resource_by_type is 'a page of one type in the stable default order';
comment on index string_value_ordered is 'string search by prefix, sorting by text';
comment on index date_value_ordered is 'date search, sorting by date';
comment on index number_value_ordered is 'number and quantity search, sorting by number';
comment on index number_value_spread is 'ranges of numbers, by their end';
comment on index date_value_long is 'ranges of more than a day, by their end';
comment on table contained is
    'Contained resources: chains that end in one, _contained. Their ordered values stand '
    'with those of the container, under parameter xor place.';
comment on column contained.container is 'row id of the resource it is in';
comment on column contained.place is 'among the contained ones there, from 1';
comment on column contained.reference_key is 'hash of ''Type/id#id'', for chains';
comment on column contained.keys is 'hashed search keys of its own';
comment on column contained.targets is 'hashes of what it refers to itself';
comment on index contained_container is
    'what a resource contains: checking one, removing when it changes';
comment on index contained_by_type is
    'contained resources of a type, and how many one resource has';
comment on index contained_reference_key is 'from a link to a contained resource';
comment on index contained_keys is
    'contained resources by token, reference, uri and exact string';
comment on table vocabulary is
    'Every distinct text of a kind that is few in number: units, displays, sets of parameters.';
comment on column vocabulary.parameter is 'hash of the kind, such as ''Observation|code:text''';
comment on index vocabulary_ordered is 'the texts of a kind, by prefix';
comment on table index_state is
    'One row: what the entries of the search index are made with.';
comment on column index_state.generation is 'grows with every change of the search parameters';
comment on column index_state.format is 'what every entry is made in, at least';
comment on column index_state.target is 'what new entries are made in';
comment on table search_parameter is
    'Search parameters beside those of R4, as they are indexed.';
comment on column search_parameter.source is
    '''SearchParameter/id'', or the url of one that comes with the server';
comment on column search_parameter.definition is 'what matters of the resource';
comment on column search_parameter.state is 'indexing, ready or removing';
comment on column search_parameter.redefined is
    'whether workers may still answer by a former definition';
comment on column search_parameter.generation is 'with which the state began';
comment on column search_parameter.types is 'those whose resources are read again for it';
comment on index search_parameter_pkey is 'one search parameter';
comment on table secret is
    'Keys made here that never leave: cursors are signed with one.';
comment on index secret_pkey is 'one secret'
"""


def upgrade() -> None:
    """Add what search needs in the schema that the connection's search path names."""
    for statement in (CHANGES + PURPOSES).split(";"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Searches of the former release read other entries, so there is no way back."""
    raise RuntimeError("revision 0002 cannot be undone: restore the backup made before it")
