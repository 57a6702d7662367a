"""The tables of the audit trail."""

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
)
from sqlalchemy.dialects.postgresql import ARRAY

from fhir_server.storage.schema.base import BYTEWISE, metadata

audit_event = Table(
    "audit_event",
    metadata,
    Column("seq", BigInteger, nullable=False, comment="from 1, without gaps"),
    Column("recorded", BigInteger, nullable=False, comment="microseconds since 1970"),
    Column("action", BYTEWISE, nullable=False, comment="C, R, U, D or E"),
    Column("interaction", BYTEWISE, nullable=False),
    Column("outcome", BYTEWISE, nullable=False, comment="0, 4, 8 or 12"),
    Column("reason", BYTEWISE, nullable=False, comment="why it was not done"),
    Column("principal", BYTEWISE, nullable=False),
    Column("client", BYTEWISE, nullable=False),
    Column("roles", BYTEWISE, nullable=False, comment="apart by commas"),
    Column("fhir_user", BYTEWISE, nullable=False, comment="the reference that stands for them"),
    Column("address", BYTEWISE, nullable=False),
    Column("door", BYTEWISE, nullable=False),
    Column("request_id", BYTEWISE, nullable=False),
    Column("type", BYTEWISE, nullable=False),
    Column("id", BYTEWISE, nullable=False),
    Column("version", Integer, nullable=False, comment="0 for none"),
    Column("old_version", Integer, nullable=False, comment="what a change superseded; 0 for none"),
    Column(
        "keys",
        ARRAY(BigInteger),
        nullable=False,
        comment="hashes of the 'Type/id' of all that it is about",
    ),
    Column("query", BYTEWISE, nullable=False),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 of the one before and of this"),
    PrimaryKeyConstraint("seq", name="audit_event_pkey"),
    comment="Who did what with which data; rows are only ever added.",
)
Index("audit_event_recorded", audit_event.c.recorded, audit_event.c.seq)
Index("audit_event_principal", audit_event.c.principal, audit_event.c.recorded)
Index("audit_event_keys", audit_event.c["keys"], postgresql_using="gin")

audit_pending = Table(
    "audit_pending",
    metadata,
    Column("id", BigInteger, Identity(), nullable=False),
    Column("line", BYTEWISE, nullable=False, comment="the columns of audit_event as COPY has them"),
    PrimaryKeyConstraint("id", name="audit_pending_pkey"),
    comment="Changes, stored with what they changed, on their way into the chain.",
)

audit_journal = Table(
    "audit_journal",
    metadata,
    Column("name", BYTEWISE, nullable=False),
    Column("position", BigInteger, nullable=False, comment="up to which it is in audit_event"),
    PrimaryKeyConstraint("name", name="audit_journal_pkey"),
    comment="Files in which server processes keep events until they are here.",
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("seq", BigInteger, nullable=False),
    Column("recorded", BigInteger, nullable=False, comment="microseconds since 1970"),
    Column("hash", LargeBinary, nullable=False, comment="of the row with that seq"),
    Column("key", BYTEWISE, nullable=False, comment="the name of the key, which is not here"),
    Column("mac", LargeBinary, nullable=False, comment="HMAC-SHA-256 of seq and hash"),
    PrimaryKeyConstraint("seq", name="audit_checkpoint_pkey"),
    comment="Ends of the chain, signed now and then; rows are only ever added.",
)

# Tables whose rows nobody may change: triggers see to it as well as the rights of roles.
APPEND_ONLY = ("audit_event", "audit_checkpoint")

INDEX_PURPOSES = {
    "audit_event_pkey": "the end of the chain, one event, verifying",
    "audit_event_recorded": "a page by time",
    "audit_event_principal": "what somebody did",
    "audit_event_keys": "who looked at a resource, or at what belongs to a patient",
    "audit_pending_pkey": "taking changes in their order",
    "audit_journal_pkey": "where one journal stands",
    "audit_checkpoint_pkey": "signed ends of the chain in their order",
}
