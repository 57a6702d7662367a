"""HL7 v2 messages: those received, as they came, and those to be sent."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    """
create table message (
    id bigint generated always as identity not null,
    key bigint,
    listener text collate "C" not null,
    peer text collate "C" not null,
    sender text collate "C" not null,
    application text collate "C" not null,
    facility text collate "C" not null,
    receiving_application text collate "C" not null,
    receiving_facility text collate "C" not null,
    message_time text collate "C" not null,
    type text collate "C" not null,
    control_id text collate "C" not null,
    processing_id text collate "C" not null,
    version text collate "C" not null,
    charset text collate "C" not null,
    content bytea not null,
    sha256 bytea not null,
    received timestamptz not null,
    state text collate "C" not null,
    attempts integer not null default 0,
    finished timestamptz,
    acknowledgement bytea,
    answer bytea,
    reason text,
    issues jsonb,
    produced text[],
    constraint message_pkey primary key (id)
)""",
    "create unique index message_identity on message (key, sha256)",
    "create index message_waiting on message (sender, id) where state = 'received'",
    "create index message_finished on message (finished) where state in ('done', 'ignored')",
    "create index message_parked on message (id) where state = 'error'",
    """
create table outgoing_message (
    id bigint generated always as identity not null,
    record text collate "C" not null,
    destination text collate "C" not null,
    control_id text collate "C" not null,
    type text collate "C" not null,
    about text[] not null,
    content bytea not null,
    created timestamptz not null,
    state text collate "C" not null,
    attempts integer not null default 0,
    due timestamptz not null,
    finished timestamptz,
    acknowledgement bytea,
    reason text,
    constraint outgoing_message_pkey primary key (id),
    constraint outgoing_message_record unique (record)
)""",
    """
create index outgoing_message_queue on outgoing_message (destination, id)
    where state = 'queued'""",
    """
create index outgoing_message_finished on outgoing_message (finished)
    where state = 'sent'""",
    'alter table outbox add column origin text collate "C"',
    "comment on table message is 'HL7 v2 messages as they came, and what became of them.'",
    "comment on column message.key is 'hash of sender and control id; null without one'",
    "comment on column message.sender is 'whose messages are carried out in their order'",
    "comment on column message.state is 'received, done, ignored or error'",
    "comment on column message.acknowledgement is 'what was answered at once, with framing apart'",
    "comment on column message.answer is 'the application acknowledgement of enhanced mode'",
    "comment on column message.produced is 'versions that came of it, as Type/id/_history/n'",
    "comment on index message_pkey is 'one message, and their order'",
    "comment on index message_identity is 'a message that comes again'",
    "comment on index message_waiting is 'the next message of a sender'",
    "comment on index message_finished is 'what is older than it has to be kept'",
    "comment on index message_parked is 'messages in error'",
    "comment on table outgoing_message is 'HL7 v2 messages to be sent, in order by destination.'",
    "comment on column outgoing_message.record is 'id of the Communication that tells of it'",
    "comment on column outgoing_message.about is 'what it tells of, as Type/id/_history/n'",
    "comment on column outgoing_message.state is 'queued, sent or failed'",
    "comment on column outgoing_message.due is 'not before'",
    "comment on index outgoing_message_pkey is 'one message, and their order'",
    "comment on index outgoing_message_record is 'from the FHIR record to the message'",
    "comment on index outgoing_message_queue is 'the next message for a destination'",
    "comment on index outgoing_message_finished is 'what is older than it has to be kept'",
    "comment on column outbox.origin is 'the system whose message made the change'",
)


def upgrade() -> None:
    """Add the tables in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove them again."""
    op.execute("alter table outbox drop column origin")
    op.execute("drop table outgoing_message")
    op.execute("drop table message")
