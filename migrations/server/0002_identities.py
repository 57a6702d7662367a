"""Who logs in, and what they were given."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
create table identity_user (
    name text collate "C" not null,
    password text collate "C" not null,
    display text not null,
    roles text[] collate "C" not null,
    tenants text[] collate "C" not null,
    fhir_user text collate "C" not null,
    disabled boolean not null,
    created timestamptz not null,
    constraint identity_user_pkey primary key (name)
)
""",
    "comment on table identity_user is 'People who log in here.'",
    "comment on column identity_user.password is 'Argon2id, with its salt'",
    "comment on column identity_user.display is 'as people call them'",
    "comment on column identity_user.tenants is 'the first unless they choose'",
    "comment on column identity_user.fhir_user is 'such as Practitioner/1, or empty'",
    """
create table identity_client (
    id text collate "C" not null,
    method text collate "C" not null,
    secret bytea,
    jwks jsonb,
    jwks_url text,
    redirect_uris text[] not null,
    launch_url text,
    scopes text not null,
    grants text[] collate "C" not null,
    roles text[] collate "C" not null,
    tenants text[] collate "C" not null,
    trusted boolean not null,
    disabled boolean not null,
    created timestamptz not null,
    constraint identity_client_pkey primary key (id)
)
""",
    "comment on table identity_client is 'Programs that get tokens.'",
    "comment on column identity_client.method is 'token_endpoint_auth_method of RFC 7591'",
    "comment on column identity_client.secret is 'SHA-256 of what its holder has'",
    """
comment on column identity_client.jwks is 'public keys of private_key_jwt, unless they are at a URL'
""",
    "comment on column identity_client.redirect_uris is 'compared letter by letter'",
    "comment on column identity_client.launch_url is 'where an EHR launch begins'",
    "comment on column identity_client.scopes is 'the most that it gets'",
    "comment on column identity_client.grants is 'grant types'",
    "comment on column identity_client.roles is 'of the program when it asks for itself'",
    "comment on column identity_client.tenants is 'the only ones it is used in; empty: any'",
    "comment on column identity_client.trusted is 'users are not asked for consent'",
    """
create table identity_session (
    id bytea not null,
    user_name text collate "C" not null,
    started timestamptz not null,
    seen timestamptz not null,
    constraint identity_session_pkey primary key (id)
)
""",
    "create index identity_session_user on identity_session (user_name)",
    "comment on table identity_session is 'Users who are logged in.'",
    "comment on column identity_session.id is 'SHA-256 of what its holder has'",
    "comment on column identity_session.seen is 'when it was last used, within half a minute'",
    """
create table identity_code (
    id bytea not null,
    permission text collate "C" not null,
    client text collate "C" not null,
    redirect_uri text not null,
    challenge text collate "C" not null,
    nonce text not null,
    user_name text collate "C" not null,
    session bytea not null,
    scopes text not null,
    patient text collate "C" not null,
    encounter text collate "C" not null,
    expires timestamptz not null,
    used timestamptz,
    constraint identity_code_pkey primary key (id)
)
""",
    "create index identity_code_expires on identity_code (expires)",
    "comment on table identity_code is 'Authorization codes.'",
    "comment on column identity_code.id is 'SHA-256 of what its holder has'",
    "comment on column identity_code.permission is 'what it is exchanged for'",
    "comment on column identity_code.challenge is 'of PKCE, S256'",
    """
create table identity_permission (
    id text collate "C" not null,
    client text collate "C" not null,
    user_name text collate "C" not null,
    session bytea,
    scopes text not null,
    patient text collate "C" not null,
    encounter text collate "C" not null,
    created timestamptz not null,
    used timestamptz not null,
    constraint identity_permission_pkey primary key (id)
)
""",
    "create index identity_permission_session on identity_permission (session)",
    "create index identity_permission_user on identity_permission (user_name)",
    """
comment on table identity_permission is 'What users let programs do, while the row is there.'
""",
    """
comment on column identity_permission.session is 'with which it ends; none for offline access'
""",
    "comment on column identity_permission.used is 'when a token was last had by it'",
    """
create table identity_refresh (
    id bytea not null,
    permission text collate "C" not null,
    expires timestamptz not null,
    used timestamptz,
    constraint identity_refresh_pkey primary key (id)
)
""",
    "create index identity_refresh_expires on identity_refresh (expires)",
    "comment on table identity_refresh is 'Refresh tokens, each used once.'",
    "comment on column identity_refresh.id is 'SHA-256 of what its holder has'",
    """
comment on column identity_refresh.used is 'after that only by a thief, or by whom it was stolen'
""",
    """
create table identity_launch (
    id bytea not null,
    client text collate "C" not null,
    user_name text collate "C" not null,
    patient text collate "C" not null,
    encounter text collate "C" not null,
    expires timestamptz not null,
    constraint identity_launch_pkey primary key (id)
)
""",
    "comment on table identity_launch is 'Launches by the EHR, each used once.'",
    "comment on column identity_launch.id is 'SHA-256 of what its holder has'",
    "comment on column identity_launch.user_name is 'who alone may use it; empty: anybody'",
    """
create table identity_revoked (
    id text collate "C" not null,
    expires timestamptz not null,
    constraint identity_revoked_pkey primary key (id)
)
""",
    "comment on table identity_revoked is 'Access tokens that are refused before they expire.'",
    "comment on column identity_revoked.id is 'jti'",
    """
create table identity_assertion (
    client text collate "C" not null,
    id text collate "C" not null,
    expires timestamptz not null,
    constraint identity_assertion_pkey primary key (client, id)
)
""",
    "comment on table identity_assertion is 'Client assertions that were used.'",
    "comment on column identity_assertion.id is 'jti'",
    """
create table identity_failure (
    who text collate "C" not null,
    times integer not null,
    until timestamptz not null,
    constraint identity_failure_pkey primary key (who)
)
""",
    "comment on table identity_failure is 'Wrong passwords.'",
    "comment on column identity_failure.who is 'user:name, or address:…'",
    "comment on column identity_failure.times is 'in a row'",
    "comment on column identity_failure.until is 'no password is looked at before'",
    """
create table identity_key (
    id text collate "C" not null,
    key jsonb not null,
    created timestamptz not null,
    signs timestamptz not null,
    constraint identity_key_pkey primary key (id)
)
""",
    "comment on table identity_key is 'Keys that tokens are signed with.'",
    "comment on column identity_key.id is 'kid'",
    "comment on column identity_key.key is 'private JWK'",
    "comment on column identity_key.signs is 'from then on, when everybody has heard of it'",
    "comment on index identity_user_pkey is 'one user'",
    "comment on index identity_client_pkey is 'one program'",
    "comment on index identity_session_pkey is 'the session of a cookie or a permission'",
    "comment on index identity_session_user is 'ending what a user has'",
    "comment on index identity_code_pkey is 'exchanging a code'",
    "comment on index identity_code_expires is 'removing codes that have expired'",
    "comment on index identity_permission_pkey is 'the permission of a token'",
    "comment on index identity_permission_user is 'ending what a user has'",
    "comment on index identity_permission_session is 'ending what a session has'",
    "comment on index identity_refresh_pkey is 'using a refresh token'",
    "comment on index identity_refresh_expires is 'removing refresh tokens that have expired'",
    "comment on index identity_launch_pkey is 'using a launch'",
    "comment on index identity_revoked_pkey is 'whether a token is revoked'",
    "comment on index identity_assertion_pkey is 'whether an assertion was used'",
    "comment on index identity_failure_pkey is 'whether somebody has to wait'",
    "comment on index identity_key_pkey is 'one key'",
)

TABLES = (
    "identity_user",
    "identity_client",
    "identity_session",
    "identity_code",
    "identity_permission",
    "identity_refresh",
    "identity_launch",
    "identity_revoked",
    "identity_assertion",
    "identity_failure",
    "identity_key",
)


def upgrade() -> None:
    """Add the tables in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove the tables again."""
    for table in TABLES:
        op.execute(f"drop table {table}")
