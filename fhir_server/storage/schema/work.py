"""The tables of numbers, definitions, jobs and events."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from fhir_server.storage.schema.base import BYTEWISE, metadata

counter = Table(
    "counter",
    metadata,
    Column("name", BYTEWISE, nullable=False),
    Column("scope", BYTEWISE, nullable=False, comment="what it restarts for, such as a year"),
    Column("value", BigInteger, nullable=False, comment="the last number given out"),
    PrimaryKeyConstraint("name", "scope", name="counter_pkey"),
    comment="Numbers given out to orders and invoices, taken in blocks.",
)

claimed_number = Table(
    "claimed_number",
    metadata,
    Column("system", BYTEWISE, nullable=False),
    Column("value", BYTEWISE, nullable=False),
    Column("holder", BYTEWISE, nullable=False, comment="Type/id of what carries the number"),
    PrimaryKeyConstraint("system", "value", name="claimed_number_pkey"),
    comment="Numbers of orders, each held by one; a deleted order keeps its own.",
)
Index("claimed_number_value", claimed_number.c.value)

definition_change = Sequence("definition_change", metadata=metadata, data_type=BigInteger)

definition_state = Table(
    "definition_state",
    metadata,
    Column("type", BYTEWISE, nullable=False),
    Column(
        "slot",
        Integer,
        nullable=False,
        comment="one of a few, by the writer, so that writers do not wait for each other",
    ),
    Column("state", BigInteger, nullable=False, comment="a number that never comes back"),
    PrimaryKeyConstraint("type", "slot", name="definition_state_pkey"),
    comment="Changes with every write of a definition: what was made of definitions is kept till "
    "then.",
)

job = Table(
    "job",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("kind", BYTEWISE, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("state", BYTEWISE, nullable=False, comment="queued, running, done or failed"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("run_at", DateTime(timezone=True), nullable=False, comment="not before"),
    Column("claimed_until", DateTime(timezone=True), comment="after this a claim is void"),
    Column("last_error", Text),
    Column("created", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id", name="job_pkey"),
    comment="Durable work, written in the transaction that causes it.",
)
Index(
    "job_due",
    job.c.kind,
    job.c.run_at,
    postgresql_where=text("state in ('queued', 'running')"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("topic", BYTEWISE, nullable=False),
    Column("type", BYTEWISE, nullable=False),
    Column("id", BYTEWISE, nullable=False),
    Column("version", Integer, nullable=False),
    Column("recorded", DateTime(timezone=True), nullable=False),
    Column("delivered", Boolean, nullable=False, server_default=text("false")),
    Column("origin", BYTEWISE, comment="the system whose message made the change"),
    PrimaryKeyConstraint("position", name="outbox_pkey"),
    comment="Events to hand on, written with the change they tell of.",
)
Index(
    "outbox_pending",
    outbox.c.topic,
    outbox.c.position,
    postgresql_where=text("not delivered"),
)

# What each index is for.
INDEX_PURPOSES = {
    "counter_pkey": "taking the next numbers",
    "claimed_number_pkey": "claiming a number",
    "definition_state_pkey": "giving a type another state",
    "claimed_number_value": "orders by a number of an image",
    "job_pkey": "one job",
    "job_due": "claiming the next due job of a kind",
    "outbox_pkey": "one event",
    "outbox_pending": "the next events of a topic in order",
}
