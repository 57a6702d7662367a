"""Whether definitions have changed, so that what is made of them may be kept."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = (
    "create sequence definition_change as bigint",
    """
create table definition_state (
    type text collate "C" not null,
    slot integer not null,
    state bigint not null,
    constraint definition_state_pkey primary key (type, slot)
)""",
    """
comment on table definition_state is
    'Changes with every write of a definition: what was made of definitions is kept till then.'""",
    """
comment on column definition_state.slot is
    'one of a few, by the writer, so that writers do not wait for each other'""",
    "comment on column definition_state.state is 'a number that never comes back'",
    "comment on index definition_state_pkey is 'giving a type another state'",
)


def upgrade() -> None:
    """Add the table in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove the table again."""
    op.execute("drop table definition_state")
    op.execute("drop sequence definition_change")
