"""The tables of HL7 v2 messages."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from fhir_server.storage.schema.base import BYTEWISE, metadata

message = Table(
    "message",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("key", BigInteger, comment="hash of sender and control id; null without one"),
    Column("listener", BYTEWISE, nullable=False),
    Column("peer", BYTEWISE, nullable=False),
    Column(
        "sender", BYTEWISE, nullable=False, comment="whose messages are carried out in their order"
    ),
    Column("application", BYTEWISE, nullable=False),
    Column("facility", BYTEWISE, nullable=False),
    Column("receiving_application", BYTEWISE, nullable=False),
    Column("receiving_facility", BYTEWISE, nullable=False),
    Column("message_time", BYTEWISE, nullable=False),
    Column("type", BYTEWISE, nullable=False),
    Column("control_id", BYTEWISE, nullable=False),
    Column("processing_id", BYTEWISE, nullable=False),
    Column("version", BYTEWISE, nullable=False),
    Column("charset", BYTEWISE, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("received", DateTime(timezone=True), nullable=False),
    Column("state", BYTEWISE, nullable=False, comment="received, done, ignored or error"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("finished", DateTime(timezone=True)),
    Column("acknowledgement", LargeBinary, comment="what was answered at once, with framing apart"),
    Column("answer", LargeBinary, comment="the application acknowledgement of enhanced mode"),
    Column("reason", Text),
    Column("issues", JSONB),
    Column("produced", ARRAY(Text), comment="versions that came of it, as Type/id/_history/n"),
    PrimaryKeyConstraint("id", name="message_pkey"),
    comment="HL7 v2 messages as they came, and what became of them.",
)
Index("message_identity", message.c.key, message.c.sha256, unique=True)
Index(
    "message_waiting",
    message.c.sender,
    message.c.id,
    postgresql_where=text("state = 'received'"),
)
Index(
    "message_finished",
    message.c.finished,
    postgresql_where=text("state in ('done', 'ignored')"),
)
Index("message_parked", message.c.id, postgresql_where=text("state = 'error'"))

outgoing_message = Table(
    "outgoing_message",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("record", BYTEWISE, nullable=False, comment="id of the Communication that tells of it"),
    Column("destination", BYTEWISE, nullable=False),
    Column("control_id", BYTEWISE, nullable=False),
    Column("type", BYTEWISE, nullable=False),
    Column("about", ARRAY(Text), nullable=False, comment="what it tells of, as Type/id/_history/n"),
    Column("content", LargeBinary, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("state", BYTEWISE, nullable=False, comment="queued, sent or failed"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due", DateTime(timezone=True), nullable=False, comment="not before"),
    Column("finished", DateTime(timezone=True)),
    Column("acknowledgement", LargeBinary),
    Column("reason", Text),
    PrimaryKeyConstraint("id", name="outgoing_message_pkey"),
    UniqueConstraint("record", name="outgoing_message_record"),
    comment="HL7 v2 messages to be sent, in order by destination.",
)
Index(
    "outgoing_message_queue",
    outgoing_message.c.destination,
    outgoing_message.c.id,
    postgresql_where=text("state = 'queued'"),
)
Index(
    "outgoing_message_finished",
    outgoing_message.c.finished,
    postgresql_where=text("state = 'sent'"),
)
Index(
    "outgoing_message_parked",
    outgoing_message.c.id,
    postgresql_where=text("state = 'failed'"),
)

message_time = Table(
    "message_time",
    metadata,
    Column("type", BYTEWISE, nullable=False),
    Column("id", BYTEWISE, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, comment="when that message was recorded"),
    PrimaryKeyConstraint("type", "id", name="message_time_pkey"),
    comment="The newest HL7 v2 message about each resource that messages keep up to date.",
)

# What each index is for.
INDEX_PURPOSES = {
    "message_pkey": "one message, and their order",
    "message_identity": "a message that comes again",
    "message_waiting": "the next message of a sender",
    "message_finished": "what is older than it has to be kept",
    "message_parked": "messages in error",
    "message_time_pkey": "whether a message is older than what is stored",
    "outgoing_message_pkey": "one message, and their order",
    "outgoing_message_record": "from the FHIR record to the message",
    "outgoing_message_queue": "the next message for a destination",
    "outgoing_message_parked": "messages that could not be sent",
    "outgoing_message_finished": "what is older than it has to be kept",
}
