"""The tables of image archives and their studies."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from fhir_server.storage.schema.base import BYTEWISE, metadata

archive = Table(
    "archive",
    metadata,
    Column("name", BYTEWISE, nullable=False),
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
    Column("archive", BYTEWISE, nullable=False),
    Column("id", BYTEWISE, nullable=False, comment="the archive's own"),
    Column("study_uid", BYTEWISE, nullable=False, comment="empty until it was read"),
    Column(
        "state",
        BYTEWISE,
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
        "stamp", BYTEWISE, nullable=False, comment="what the archive told when it was read last"
    ),
    Column(
        "accessions",
        ARRAY(BYTEWISE),
        nullable=False,
        comment="accession numbers and UIDs it is matched by",
    ),
    Column("candidates", ARRAY(BYTEWISE), nullable=False, comment="orders it was compared with"),
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

# What each index is for.
INDEX_PURPOSES = {
    "archive_pkey": "one archive",
    "archive_study_pkey": "one study",
    "archive_study_due": "the next study to look at",
    "archive_study_uid": "studies under one UID",
    "archive_study_open": "studies to match again when orders change",
}
