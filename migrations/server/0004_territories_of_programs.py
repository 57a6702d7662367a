"""In which territory a program acts for a user."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = ("identity_code", "identity_permission", "identity_launch")


def upgrade() -> None:
    """Add the columns; what was permitted before is bound to no territory."""
    for table in TABLES:
        op.execute(
            f"""alter table {table} add column tenant text collate "C" not null default ''"""
        )
        op.execute(f"alter table {table} alter column tenant drop default")
        op.execute(f"comment on column {table}.tenant is 'the only one it is for, or empty'")
    op.execute(
        "comment on column identity_failure.until is "
        "'no password is looked at before; else when the last was wrong'"
    )


def downgrade() -> None:
    """Remove the columns again."""
    for table in TABLES:
        op.execute(f"alter table {table} drop column tenant")
