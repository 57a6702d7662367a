"""That a parameter of numbers goes with few units is told to the planner."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Taken for independent, the two make the planner expect a small part of the rows there are, and
# read them all where the index of ranges has the few that are asked for.
STATEMENTS = (
    "create statistics number_value_kinds (dependencies) on parameter, unit from number_value",
    "comment on statistics number_value_kinds is 'which units a parameter has'",
    "analyze number_value",
)


def upgrade() -> None:
    """Add the statistics in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)
