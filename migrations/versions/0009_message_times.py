"""How new what HL7 v2 messages said of resources is; messages that could not be sent."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = (
    """
create table message_time (
    type text collate "C" not null,
    id text collate "C" not null,
    at timestamptz not null,
    constraint message_time_pkey primary key (type, id)
)""",
    """
comment on table message_time is
    'The newest HL7 v2 message about each resource that messages keep up to date.'""",
    "comment on column message_time.at is 'when that message was recorded'",
    "create index outgoing_message_parked on outgoing_message (id) where state = 'failed'",
    "comment on index outgoing_message_parked is 'messages that could not be sent'",
    "comment on index message_time_pkey is 'whether a message is older than what is stored'",
)


def upgrade() -> None:
    """Add the table in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)
