"""Which resource holds a number that people know it by, such as an order number."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """
create table claimed_number (
    system text collate "C" not null,
    value text collate "C" not null,
    holder text collate "C" not null,
    constraint claimed_number_pkey primary key (system, value)
)""",
    """
comment on table claimed_number is
    'Numbers of orders, each held by one; a deleted order keeps its own.'""",
    "comment on column claimed_number.holder is 'Type/id of what carries the number'",
    "comment on index claimed_number_pkey is 'claiming a number'",
)


def upgrade() -> None:
    """Add the table in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove the table again."""
    op.execute("drop table claimed_number")
