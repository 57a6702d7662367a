"""The tables of resources and of what they are found by."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from fhir_server.storage.schema.base import BYTEWISE, metadata

ROW_ID_BLOCK = 1000
row_id = Sequence("row_id", metadata=metadata, increment=ROW_ID_BLOCK, data_type=BigInteger)

resource = Table(
    "resource",
    metadata,
    Column("rid", BigInteger, nullable=False, comment="stable row id, also the default sort"),
    Column("type", BYTEWISE, nullable=False),
    Column("id", BYTEWISE, nullable=False),
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
    Column("type", BYTEWISE, nullable=False),
    Column("id", BYTEWISE, nullable=False),
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
    Column("value", BYTEWISE, nullable=False, comment="folded: no case, no accents"),
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
    Column("type", BYTEWISE, nullable=False),
    Column("id", BYTEWISE, nullable=False),
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
    Column("value", BYTEWISE, nullable=False),
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
        BYTEWISE,
        nullable=False,
        comment="'SearchParameter/id', or the url of one that comes with the server",
    ),
    Column("definition", JSONB, nullable=False, comment="what matters of the resource"),
    Column("state", BYTEWISE, nullable=False, comment="indexing, ready or removing"),
    Column(
        "redefined",
        Boolean,
        nullable=False,
        comment="whether workers may still answer by a former definition",
    ),
    Column("generation", Integer, nullable=False, comment="with which the state began"),
    Column(
        "types",
        ARRAY(BYTEWISE),
        nullable=False,
        comment="those whose resources are read again for it",
    ),
    PrimaryKeyConstraint("source", name="search_parameter_pkey"),
    comment="Search parameters beside those of R4, as they are indexed.",
)

secret = Table(
    "secret",
    metadata,
    Column("name", BYTEWISE, nullable=False),
    Column("value", LargeBinary, nullable=False),
    PrimaryKeyConstraint("name", name="secret_pkey"),
    comment="Keys made here that never leave: cursors are signed with one.",
)

# What each index is for.
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
}
