"""What is known of the studies of an image archive, and how far its changes have been read."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = (
    """
create table archive (
    name text collate "C" not null,
    position bigint not null default 0,
    next_look timestamp with time zone not null,
    next_comparison timestamp with time zone not null,
    answered timestamp with time zone,
    problem text,
    constraint archive_pkey primary key (name)
)""",
    """
create table archive_study (
    archive text collate "C" not null,
    id text collate "C" not null,
    study_uid text collate "C" not null,
    state text collate "C" not null,
    due timestamp with time zone,
    attempts integer not null default 0,
    stamp text collate "C" not null,
    accessions text[] collate "C" not null,
    candidates text[] collate "C" not null,
    deleting boolean not null default false,
    problem text,
    constraint archive_study_pkey primary key (archive, id)
)""",
    "create index archive_study_due on archive_study (archive, due) where due is not null",
    "create index archive_study_uid on archive_study (study_uid)",
    """
create index archive_study_open on archive_study (archive, id)
    where state in ('unmatched', 'conflict', 'waiting')""",
    "create index claimed_number_value on claimed_number (value)",
    """
comment on table archive is
    'Image archives: how far their changes have been read, and whether they answer.'""",
    "comment on column archive.position is 'number of the last change that was read'",
    "comment on column archive.next_look is 'when a worker asks it for changes'",
    "comment on column archive.next_comparison is 'when all studies are compared'",
    "comment on column archive.answered is 'when it answered last'",
    "comment on column archive.problem is 'why it cannot be used, null if it can'",
    """
comment on table archive_study is
    'Studies of an image archive, and what became of them here.'""",
    "comment on column archive_study.id is 'the archive''s own'",
    "comment on column archive_study.study_uid is 'empty until it was read'",
    """
comment on column archive_study.state is
    'new, linked, unmatched, conflict, waiting (for its order) or gone'""",
    "comment on column archive_study.due is 'when a worker looks at it, null for nothing to do'",
    "comment on column archive_study.stamp is 'what the archive told when it was read last'",
    "comment on column archive_study.accessions is 'accession numbers and UIDs it is matched by'",
    "comment on column archive_study.candidates is 'orders it was compared with'",
    "comment on column archive_study.deleting is 'somebody asked for its deletion'",
    "comment on index archive_pkey is 'one archive'",
    "comment on index archive_study_pkey is 'one study'",
    "comment on index archive_study_due is 'the next study to look at'",
    "comment on index archive_study_uid is 'studies under one UID'",
    "comment on index archive_study_open is 'studies to match again when orders change'",
    "comment on index claimed_number_value is 'orders by a number of an image'",
)


def upgrade() -> None:
    """Add the tables in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove them again."""
    op.execute("drop table archive, archive_study")
    op.execute("drop index claimed_number_value")
