"""Encryption at rest: the keys of a tenant, and what is encrypted by them."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = (
    """
create table data_key (
    number integer not null,
    purpose text collate "C" not null,
    master text collate "C" not null,
    wrapped bytea not null,
    created timestamptz not null,
    used_from timestamptz not null,
    retired timestamptz,
    constraint data_key_pkey primary key (number)
)""",
    """
create table seal_state (
    elements jsonb not null default '{}'::jsonb,
    former jsonb not null default '{}'::jsonb,
    state text collate "C" not null default 'ready',
    generation integer not null default 0,
    search_key integer
)""",
    "insert into seal_state default values",
    """
comment on table data_key is
    'Keys of elements that are encrypted at rest; of no use without the master key.'""",
    "comment on column data_key.number is 'by which ciphertexts name it'",
    "comment on column data_key.purpose is 'data: encrypts; search: makes keyed hashes'",
    "comment on column data_key.master is 'the name of the key that wraps it'",
    "comment on column data_key.wrapped is 'the key, encrypted by that one'",
    "comment on column data_key.used_from is 'not before every process has heard of it'",
    "comment on column data_key.retired is 'since when nothing here needs it'",
    "comment on index data_key_pkey is 'the keys of a tenant'",
    "comment on table seal_state is 'One row: what is encrypted at rest.'",
    """
comment on column seal_state.elements is
    'by type, the elements that are sealed when they are written'""",
    """
comment on column seal_state.former is
    'those that may be sealed in what was written before, until it is written again'""",
    """
comment on column seal_state.state is
    'ready, changing (other elements) or rotating (another key)'""",
    """
comment on column seal_state.generation is
    'of the search index, with which the elements took effect'""",
    "comment on column seal_state.search_key is 'the key of keyed hashes'",
)


def upgrade() -> None:
    """Add the tables in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove the tables again: what is encrypted then stays so for ever."""
    op.execute("drop table data_key")
    op.execute("drop table seal_state")
