"""Which tenants there are."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
create table tenant (
    name text collate "C" not null,
    created timestamptz not null,
    state text collate "C" not null,
    role text collate "C",
    constraint tenant_pkey primary key (name)
)""",
    "comment on table tenant is 'The territories of this server, each with a schema of its own.'",
    "comment on column tenant.state is 'coming, ready or leaving'",
    """
comment on column tenant.role is
    'the PostgreSQL role that has this tenant''s rights; none if none could be made'
""",
    "comment on index tenant_pkey is 'one tenant'",
)


def upgrade() -> None:
    """Add the table in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove the table again."""
    op.execute("drop table tenant")
