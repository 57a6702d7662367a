"""The tables of the authorization server: who there is, and what they were given."""

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from fhir_server.storage.schema.base import BYTEWISE, server_metadata

_HASH = "SHA-256 of what its holder has"
_NAMES = ARRAY(BYTEWISE)
_TERRITORY = "the only one it is for, or empty"


def _time(name: str, comment: str | None = None, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=comment)


identity_user = Table(
    "identity_user",
    server_metadata,
    Column("name", BYTEWISE, nullable=False),
    Column("password", BYTEWISE, nullable=False, comment="Argon2id, with its salt"),
    Column("display", Text, nullable=False, comment="as people call them"),
    Column("roles", _NAMES, nullable=False),
    Column("tenants", _NAMES, nullable=False, comment="the first unless they choose"),
    Column("fhir_user", BYTEWISE, nullable=False, comment="such as Practitioner/1, or empty"),
    Column("disabled", Boolean, nullable=False),
    _time("created"),
    PrimaryKeyConstraint("name", name="identity_user_pkey"),
    comment="People who log in here.",
)

identity_client = Table(
    "identity_client",
    server_metadata,
    Column("id", BYTEWISE, nullable=False),
    Column("method", BYTEWISE, nullable=False, comment="token_endpoint_auth_method of RFC 7591"),
    Column("secret", LargeBinary, comment=_HASH),
    Column("jwks", JSONB, comment="public keys of private_key_jwt, unless they are at a URL"),
    Column("jwks_url", Text),
    Column("redirect_uris", ARRAY(Text), nullable=False, comment="compared letter by letter"),
    Column("launch_url", Text, comment="where an EHR launch begins"),
    Column("scopes", Text, nullable=False, comment="the most that it gets"),
    Column("grants", _NAMES, nullable=False, comment="grant types"),
    Column("roles", _NAMES, nullable=False, comment="of the program when it asks for itself"),
    Column("tenants", _NAMES, nullable=False, comment="the only ones it is used in; empty: any"),
    Column("trusted", Boolean, nullable=False, comment="users are not asked for consent"),
    Column("disabled", Boolean, nullable=False),
    _time("created"),
    PrimaryKeyConstraint("id", name="identity_client_pkey"),
    comment="Programs that get tokens.",
)

identity_session = Table(
    "identity_session",
    server_metadata,
    Column("id", LargeBinary, nullable=False, comment=_HASH),
    Column("user_name", BYTEWISE, nullable=False),
    _time("started"),
    _time("seen", "when it was last used, within half a minute"),
    PrimaryKeyConstraint("id", name="identity_session_pkey"),
    comment="Users who are logged in.",
)
Index("identity_session_user", identity_session.c.user_name)

identity_code = Table(
    "identity_code",
    server_metadata,
    Column("id", LargeBinary, nullable=False, comment=_HASH),
    Column("permission", BYTEWISE, nullable=False, comment="what it is exchanged for"),
    Column("client", BYTEWISE, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", BYTEWISE, nullable=False, comment="of PKCE, S256"),
    Column("nonce", Text, nullable=False),
    Column("user_name", BYTEWISE, nullable=False),
    Column("session", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("patient", BYTEWISE, nullable=False),
    Column("encounter", BYTEWISE, nullable=False),
    Column("tenant", BYTEWISE, nullable=False, comment=_TERRITORY),
    _time("expires"),
    _time("used", nullable=True),
    PrimaryKeyConstraint("id", name="identity_code_pkey"),
    comment="Authorization codes.",
)
Index("identity_code_expires", identity_code.c.expires)

identity_permission = Table(
    "identity_permission",
    server_metadata,
    Column("id", BYTEWISE, nullable=False),
    Column("client", BYTEWISE, nullable=False),
    Column("user_name", BYTEWISE, nullable=False),
    Column("session", LargeBinary, comment="with which it ends; none for offline access"),
    Column("scopes", Text, nullable=False),
    Column("patient", BYTEWISE, nullable=False),
    Column("encounter", BYTEWISE, nullable=False),
    Column("tenant", BYTEWISE, nullable=False, comment=_TERRITORY),
    _time("created"),
    _time("used", "when a token was last had by it"),
    PrimaryKeyConstraint("id", name="identity_permission_pkey"),
    comment="What users let programs do, while the row is there.",
)
Index("identity_permission_user", identity_permission.c.user_name)
Index("identity_permission_session", identity_permission.c.session)

identity_refresh = Table(
    "identity_refresh",
    server_metadata,
    Column("id", LargeBinary, nullable=False, comment=_HASH),
    Column("permission", BYTEWISE, nullable=False),
    _time("expires"),
    _time("used", "after that only by a thief, or by whom it was stolen", nullable=True),
    PrimaryKeyConstraint("id", name="identity_refresh_pkey"),
    comment="Refresh tokens, each used once.",
)
Index("identity_refresh_expires", identity_refresh.c.expires)

identity_launch = Table(
    "identity_launch",
    server_metadata,
    Column("id", LargeBinary, nullable=False, comment=_HASH),
    Column("client", BYTEWISE, nullable=False),
    Column("user_name", BYTEWISE, nullable=False, comment="who alone may use it; empty: anybody"),
    Column("patient", BYTEWISE, nullable=False),
    Column("encounter", BYTEWISE, nullable=False),
    Column("tenant", BYTEWISE, nullable=False, comment=_TERRITORY),
    _time("expires"),
    PrimaryKeyConstraint("id", name="identity_launch_pkey"),
    comment="Launches by the EHR, each used once.",
)

identity_revoked = Table(
    "identity_revoked",
    server_metadata,
    Column("id", BYTEWISE, nullable=False, comment="jti"),
    _time("expires"),
    PrimaryKeyConstraint("id", name="identity_revoked_pkey"),
    comment="Access tokens that are refused before they expire.",
)

identity_assertion = Table(
    "identity_assertion",
    server_metadata,
    Column("client", BYTEWISE, nullable=False),
    Column("id", BYTEWISE, nullable=False, comment="jti"),
    _time("expires"),
    PrimaryKeyConstraint("client", "id", name="identity_assertion_pkey"),
    comment="Client assertions that were used.",
)

identity_failure = Table(
    "identity_failure",
    server_metadata,
    Column("who", BYTEWISE, nullable=False, comment="user:name, or address:…"),
    Column("times", Integer, nullable=False, comment="in a row"),
    _time("until", "no password is looked at before; else when the last was wrong"),
    PrimaryKeyConstraint("who", name="identity_failure_pkey"),
    comment="Wrong passwords.",
)

identity_key = Table(
    "identity_key",
    server_metadata,
    Column("id", BYTEWISE, nullable=False, comment="kid"),
    Column("key", JSONB, nullable=False, comment="private JWK"),
    _time("created"),
    _time("signs", "from then on, when everybody has heard of it"),
    PrimaryKeyConstraint("id", name="identity_key_pkey"),
    comment="Keys that tokens are signed with.",
)

# What each index is for.
IDENTITY_INDEX_PURPOSES = {
    "identity_user_pkey": "one user",
    "identity_client_pkey": "one program",
    "identity_session_pkey": "the session of a cookie or a permission",
    "identity_session_user": "ending what a user has",
    "identity_code_pkey": "exchanging a code",
    "identity_code_expires": "removing codes that have expired",
    "identity_permission_pkey": "the permission of a token",
    "identity_permission_user": "ending what a user has",
    "identity_permission_session": "ending what a session has",
    "identity_refresh_pkey": "using a refresh token",
    "identity_refresh_expires": "removing refresh tokens that have expired",
    "identity_launch_pkey": "using a launch",
    "identity_revoked_pkey": "whether a token is revoked",
    "identity_assertion_pkey": "whether an assertion was used",
    "identity_failure_pkey": "whether somebody has to wait",
    "identity_key_pkey": "one key",
}
