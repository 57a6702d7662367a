"""The tables of one tenant, in SQLAlchemy Core.

A tenant is a PostgreSQL schema, so the tables carry no tenant column. Comments on tables and
indexes say which query each one serves; they are stored in the database as well.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

# Bytes compare as bytes: ids and codes are ASCII, and prefix searches need byte order.
_bytewise = Text(collation="C")

# Each process takes a block of row ids with one call, so a create needs no round trip for one.
ROW_ID_BLOCK = 1000
row_id = Sequence("row_id", metadata=metadata, increment=ROW_ID_BLOCK, data_type=BigInteger)

resource = Table(
    "resource",
    metadata,
    Column("rid", BigInteger, nullable=False, comment="stable row id, also the default sort"),
    Column("type", _bytewise, nullable=False),
    Column("id", _bytewise, nullable=False),
    Column("version", Integer, nullable=False),
    Column("last_updated", DateTime(timezone=True), nullable=False),
    Column("method", Text, nullable=False, comment="verb that made this version, for history"),
    Column("reference_key", BigInteger, nullable=False, comment="hash of 'Type/id', for chains"),
    Column("keys", ARRAY(BigInteger), nullable=False, comment="hashed search keys"),
    Column(
        "targets",
        ARRAY(BigInteger),
        nullable=False,
        server_default=text("'{}'::bigint[]"),
        comment="hashes of the 'Type/id' it refers to, for chains",
    ),
    Column("content", JSONB, comment="null when the current version is a deletion"),
    Column("exact", Text, comment="the JSON text, only where jsonb would lose digits (1.0E+3)"),
    PrimaryKeyConstraint("rid", name="resource_pkey"),
    UniqueConstraint("type", "id", name="resource_identity"),
    comment="The current version of every resource: read, update, search.",
)
Index(
    "resource_by_type",
    resource.c.type,
    resource.c.rid,
    postgresql_where=text("content is not null"),
)
Index("resource_reference_key", resource.c.reference_key)
Index("resource_by_type_time", resource.c.type, resource.c.last_updated, resource.c.rid)
Index("resource_by_time", resource.c.last_updated, resource.c.rid)
# Every look-up reads the pending list, so it is kept short: with 4 MB, PostgreSQL's default, a
# conditional create under load took a fifth longer.
Index(
    "resource_keys",
    resource.c["keys"],
    postgresql_using="gin",
    postgresql_with={"gin_pending_list_limit": 256},
)

history = Table(
    "history",
    metadata,
    Column("rid", BigInteger, nullable=False),
    Column("type", _bytewise, nullable=False),
    Column("id", _bytewise, nullable=False),
    Column("version", Integer, nullable=False),
    Column("last_updated", DateTime(timezone=True), nullable=False),
    Column("superseded", DateTime(timezone=True), nullable=False, comment="when the next came"),
    Column("method", Text, nullable=False),
    Column("content", JSONB),
    Column("exact", Text),
    PrimaryKeyConstraint("type", "id", "version", name="history_pkey"),
    comment="Superseded versions only, so that a create writes its content once: vread, history.",
)
Index("history_by_type_time", history.c.type, history.c.last_updated, history.c.rid)
Index("history_by_time", history.c.last_updated, history.c.rid)

string_value = Table(
    "string_value",
    metadata,
    Column("rid", BigInteger, nullable=False),
    Column("parameter", BigInteger, nullable=False, comment="hash of 'Type|code'"),
    Column("value", _bytewise, nullable=False, comment="folded: no case, no accents"),
    comment="Ordered texts: string search by prefix, sorting.",
)
Index("string_value_ordered", string_value.c.parameter, string_value.c.value, string_value.c.rid)
Index("string_value_rid", string_value.c.rid)

date_value = Table(
    "date_value",
    metadata,
    Column("rid", BigInteger, nullable=False),
    Column("parameter", BigInteger, nullable=False),
    Column("low", BigInteger, nullable=False, comment="microseconds since 1970, inclusive"),
    Column("high", BigInteger, nullable=False, comment="exclusive"),
    comment="Half-open UTC ranges at the stored precision: date search, sorting.",
)
Index(
    "date_value_ordered",
    date_value.c.parameter,
    date_value.c.low,
    date_value.c.rid,
    postgresql_include=["high"],
)
Index(
    "date_value_long",
    date_value.c.parameter,
    date_value.c.high,
    postgresql_where=text("high - low > 90000000000"),
)
Index("date_value_rid", date_value.c.rid)

number_value = Table(
    "number_value",
    metadata,
    Column("rid", BigInteger, nullable=False),
    Column("parameter", BigInteger, nullable=False),
    Column("unit", BigInteger, nullable=False, comment="hash of the unit, 0 for a bare number"),
    Column("low", Numeric, nullable=False, comment="the lowest value"),
    Column("high", Numeric, nullable=False, comment="the highest value, inclusive"),
    comment="Numbers and quantities: range search, sorting.",
)
Index(
    "number_value_ordered",
    number_value.c.parameter,
    number_value.c.unit,
    number_value.c.low,
    number_value.c.rid,
    postgresql_include=["high"],
)
Index(
    "number_value_spread",
    number_value.c.parameter,
    number_value.c.unit,
    number_value.c.high,
    postgresql_where=text("low < high"),
)
Index("number_value_rid", number_value.c.rid)

contained = Table(
    "contained",
    metadata,
    Column("container", BigInteger, nullable=False, comment="row id of the resource it is in"),
    Column("place", Integer, nullable=False, comment="among the contained ones there, from 1"),
    Column("type", _bytewise, nullable=False),
    Column("id", _bytewise, nullable=False),
    Column("reference_key", BigInteger, nullable=False, comment="hash of 'Type/id#id', for chains"),
    Column("keys", ARRAY(BigInteger), nullable=False, comment="hashed search keys of its own"),
    Column(
        "targets", ARRAY(BigInteger), nullable=False, comment="hashes of what it refers to itself"
    ),
    comment="Contained resources: chains that end in one, _contained. Their ordered values stand "
    "with those of the container, under parameter xor place.",
)
Index("contained_container", contained.c.container, contained.c.place)
Index("contained_by_type", contained.c.type, contained.c.place, contained.c.container)
Index("contained_reference_key", contained.c.reference_key)
Index(
    "contained_keys",
    contained.c["keys"],
    postgresql_using="gin",
    postgresql_with={"gin_pending_list_limit": 256},
)

vocabulary = Table(
    "vocabulary",
    metadata,
    Column(
        "parameter",
        BigInteger,
        nullable=False,
        comment="hash of the kind, such as 'Observation|code:text'",
    ),
    Column("value", _bytewise, nullable=False),
    comment="Every distinct text of a kind that is few in number: units, displays, sets of "
    "parameters.",
)
Index("vocabulary_ordered", vocabulary.c.parameter, vocabulary.c.value)

index_state = Table(
    "index_state",
    metadata,
    Column(
        "generation",
        Integer,
        nullable=False,
        comment="grows with every change of the search parameters",
    ),
    Column("format", Integer, nullable=False, comment="what every entry is made in, at least"),
    Column("target", Integer, nullable=False, comment="what new entries are made in"),
    comment="One row: what the entries of the search index are made with.",
)

search_parameter = Table(
    "search_parameter",
    metadata,
    Column(
        "source",
        _bytewise,
        nullable=False,
        comment="'SearchParameter/id', or the url of one that comes with the server",
    ),
    Column("definition", JSONB, nullable=False, comment="what matters of the resource"),
    Column("state", _bytewise, nullable=False, comment="indexing, ready or removing"),
    Column(
        "redefined",
        Boolean,
        nullable=False,
        comment="whether workers may still answer by a former definition",
    ),
    Column("generation", Integer, nullable=False, comment="with which the state began"),
    Column(
        "types",
        ARRAY(_bytewise),
        nullable=False,
        comment="those whose resources are read again for it",
    ),
    PrimaryKeyConstraint("source", name="search_parameter_pkey"),
    comment="Search parameters beside those of R4, as they are indexed.",
)

secret = Table(
    "secret",
    metadata,
    Column("name", _bytewise, nullable=False),
    Column("value", LargeBinary, nullable=False),
    PrimaryKeyConstraint("name", name="secret_pkey"),
    comment="Keys made here that never leave: cursors are signed with one.",
)

counter = Table(
    "counter",
    metadata,
    Column("name", _bytewise, nullable=False),
    Column("scope", _bytewise, nullable=False, comment="what it restarts for, such as a year"),
    Column("value", BigInteger, nullable=False, comment="the last number given out"),
    PrimaryKeyConstraint("name", "scope", name="counter_pkey"),
    comment="Numbers given out to orders and invoices, taken in blocks.",
)

claimed_number = Table(
    "claimed_number",
    metadata,
    Column("system", _bytewise, nullable=False),
    Column("value", _bytewise, nullable=False),
    Column("holder", _bytewise, nullable=False, comment="Type/id of what carries the number"),
    PrimaryKeyConstraint("system", "value", name="claimed_number_pkey"),
    comment="Numbers of orders, each held by one; a deleted order keeps its own.",
)
Index("claimed_number_value", claimed_number.c.value)

definition_change = Sequence("definition_change", metadata=metadata, data_type=BigInteger)

definition_state = Table(
    "definition_state",
    metadata,
    Column("type", _bytewise, nullable=False),
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
    Column("kind", _bytewise, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("state", _bytewise, nullable=False, comment="queued, running, done or failed"),
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
    Column("topic", _bytewise, nullable=False),
    Column("type", _bytewise, nullable=False),
    Column("id", _bytewise, nullable=False),
    Column("version", Integer, nullable=False),
    Column("recorded", DateTime(timezone=True), nullable=False),
    Column("delivered", Boolean, nullable=False, server_default=text("false")),
    Column("origin", _bytewise, comment="the system whose message made the change"),
    PrimaryKeyConstraint("position", name="outbox_pkey"),
    comment="Events to hand on, written with the change they tell of.",
)
Index(
    "outbox_pending",
    outbox.c.topic,
    outbox.c.position,
    postgresql_where=text("not delivered"),
)

message = Table(
    "message",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("key", BigInteger, comment="hash of sender and control id; null without one"),
    Column("listener", _bytewise, nullable=False),
    Column("peer", _bytewise, nullable=False),
    Column(
        "sender", _bytewise, nullable=False, comment="whose messages are carried out in their order"
    ),
    Column("application", _bytewise, nullable=False),
    Column("facility", _bytewise, nullable=False),
    Column("receiving_application", _bytewise, nullable=False),
    Column("receiving_facility", _bytewise, nullable=False),
    Column("message_time", _bytewise, nullable=False),
    Column("type", _bytewise, nullable=False),
    Column("control_id", _bytewise, nullable=False),
    Column("processing_id", _bytewise, nullable=False),
    Column("version", _bytewise, nullable=False),
    Column("charset", _bytewise, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("received", DateTime(timezone=True), nullable=False),
    Column("state", _bytewise, nullable=False, comment="received, done, ignored or error"),
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
    Column("record", _bytewise, nullable=False, comment="id of the Communication that tells of it"),
    Column("destination", _bytewise, nullable=False),
    Column("control_id", _bytewise, nullable=False),
    Column("type", _bytewise, nullable=False),
    Column("about", ARRAY(Text), nullable=False, comment="what it tells of, as Type/id/_history/n"),
    Column("content", LargeBinary, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("state", _bytewise, nullable=False, comment="queued, sent or failed"),
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

archive = Table(
    "archive",
    metadata,
    Column("name", _bytewise, nullable=False),
    Column(
        "position",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="number of the last change that was read",
    ),
    Column(
        "next_look",
        DateTime(timezone=True),
        nullable=False,
        comment="when a worker asks it for changes",
    ),
    Column(
        "next_comparison",
        DateTime(timezone=True),
        nullable=False,
        comment="when all studies are compared",
    ),
    Column("answered", DateTime(timezone=True), comment="when it answered last"),
    Column("problem", Text, comment="why it cannot be used, null if it can"),
    PrimaryKeyConstraint("name", name="archive_pkey"),
    comment="Image archives: how far their changes have been read, and whether they answer.",
)

archive_study = Table(
    "archive_study",
    metadata,
    Column("archive", _bytewise, nullable=False),
    Column("id", _bytewise, nullable=False, comment="the archive's own"),
    Column("study_uid", _bytewise, nullable=False, comment="empty until it was read"),
    Column(
        "state",
        _bytewise,
        nullable=False,
        comment="new, linked, unmatched, conflict, waiting (for its order) or gone",
    ),
    Column(
        "due",
        DateTime(timezone=True),
        comment="when a worker looks at it, null for nothing to do",
    ),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column(
        "stamp", _bytewise, nullable=False, comment="what the archive told when it was read last"
    ),
    Column(
        "accessions",
        ARRAY(_bytewise),
        nullable=False,
        comment="accession numbers and UIDs it is matched by",
    ),
    Column("candidates", ARRAY(_bytewise), nullable=False, comment="orders it was compared with"),
    Column(
        "deleting",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="somebody asked for its deletion",
    ),
    Column("problem", Text),
    PrimaryKeyConstraint("archive", "id", name="archive_study_pkey"),
    comment="Studies of an image archive, and what became of them here.",
)
Index(
    "archive_study_due",
    archive_study.c.archive,
    archive_study.c.due,
    postgresql_where=text("due is not null"),
)
Index("archive_study_uid", archive_study.c.study_uid)
Index(
    "archive_study_open",
    archive_study.c.archive,
    archive_study.c.id,
    postgresql_where=text("state in ('unmatched', 'conflict', 'waiting')"),
)

# What each index is for; the migrations store these as comments in the database.
INDEX_PURPOSES = {
    "resource_pkey": "joins from the value tables",
    "resource_identity": "read, update and delete by type and id",
    "resource_by_type": "a page of one type in the stable default order",
    "resource_by_type_time": "history of a type, _lastUpdated on a type",
    "resource_by_time": "history of the system",
    "resource_reference_key": "from a link to its target",
    "resource_keys": "search by token, reference, uri and exact string",
    "history_pkey": "vread and history of an instance",
    "history_by_type_time": "history of a type",
    "history_by_time": "history of the system",
    "string_value_ordered": "string search by prefix, sorting by text",
    "string_value_rid": "removing a resource's values when it changes",
    "date_value_ordered": "date search, sorting by date",
    "date_value_long": "ranges of more than a day, by their end",
    "date_value_rid": "removing a resource's values when it changes",
    "number_value_ordered": "number and quantity search, sorting by number",
    "number_value_spread": "ranges of numbers, by their end",
    "number_value_rid": "removing a resource's values when it changes",
    "contained_container": "what a resource contains: checking one, removing when it changes",
    "contained_by_type": "contained resources of a type, and how many one resource has",
    "contained_reference_key": "from a link to a contained resource",
    "contained_keys": "contained resources by token, reference, uri and exact string",
    "vocabulary_ordered": "the texts of a kind, by prefix",
    "search_parameter_pkey": "one search parameter",
    "secret_pkey": "one secret",
    "counter_pkey": "taking the next numbers",
    "claimed_number_pkey": "claiming a number",
    "definition_state_pkey": "giving a type another state",
    "claimed_number_value": "orders by a number of an image",
    "archive_pkey": "one archive",
    "archive_study_pkey": "one study",
    "archive_study_due": "the next study to look at",
    "archive_study_uid": "studies under one UID",
    "archive_study_open": "studies to match again when orders change",
    "job_pkey": "one job",
    "job_due": "claiming the next due job of a kind",
    "outbox_pkey": "one event",
    "outbox_pending": "the next events of a topic in order",
    "message_pkey": "one message, and their order",
    "message_identity": "a message that comes again",
    "message_waiting": "the next message of a sender",
    "message_finished": "what is older than it has to be kept",
    "message_parked": "messages in error",
    "outgoing_message_pkey": "one message, and their order",
    "outgoing_message_record": "from the FHIR record to the message",
    "outgoing_message_queue": "the next message for a destination",
    "outgoing_message_finished": "what is older than it has to be kept",
}
