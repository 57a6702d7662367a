"""The tables of encryption at rest."""

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from fhir_server.storage.schema.base import BYTEWISE, metadata

data_key = Table(
    "data_key",
    metadata,
    Column("number", Integer, nullable=False, comment="by which ciphertexts name it"),
    Column(
        "purpose", BYTEWISE, nullable=False, comment="data: encrypts; search: makes keyed hashes"
    ),
    Column("master", BYTEWISE, nullable=False, comment="the name of the key that wraps it"),
    Column("wrapped", LargeBinary, nullable=False, comment="the key, encrypted by that one"),
    Column("created", DateTime(timezone=True), nullable=False),
    Column(
        "used_from",
        DateTime(timezone=True),
        nullable=False,
        comment="not before every process has heard of it",
    ),
    Column("retired", DateTime(timezone=True), comment="since when nothing here needs it"),
    PrimaryKeyConstraint("number", name="data_key_pkey"),
    comment="Keys of elements that are encrypted at rest; of no use without the master key.",
)

seal_state = Table(
    "seal_state",
    metadata,
    Column(
        "elements",
        JSONB,
        nullable=False,
        server_default=text("'{}'::jsonb"),
        comment="by type, the elements that are sealed when they are written",
    ),
    Column(
        "former",
        JSONB,
        nullable=False,
        server_default=text("'{}'::jsonb"),
        comment="those that may be sealed in what was written before, until it is written again",
    ),
    Column(
        "state",
        BYTEWISE,
        nullable=False,
        server_default=text("'ready'"),
        comment="ready, changing (other elements) or rotating (another key)",
    ),
    Column(
        "generation",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="of the search index, with which the elements took effect",
    ),
    Column("search_key", Integer, comment="the key of keyed hashes"),
    comment="One row: what is encrypted at rest.",
)

INDEX_PURPOSES = {"data_key_pkey": "the keys of a tenant"}
