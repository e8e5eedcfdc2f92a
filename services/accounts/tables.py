"""The schema. Columns are named like the fields of their message."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from astronote.accounts.v1.accounts_pb2 import ApiKey, FrequencyCap, QuietHours
from kit.rows import EnumName, MessageJson
from kit.store import kit_tables

metadata = MetaData()
kit_tables(metadata)

merchants = Table(
    "merchants",
    metadata,
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("company", Text, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("quiet_hours", MessageJson(QuietHours)),
    Column("frequency_cap", MessageJson(FrequencyCap)),
    Column("public_base_url", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id", name="merchants_pkey"),
)

users = Table(
    "users",
    metadata,
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    # As `credentials.email` normalizes it. One person, one merchant: unique among all of them.
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id", name="users_pkey"),
    UniqueConstraint("email", name="users_email_key"),
    ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name="users_merchant_fkey"),
)

# A family of refresh tokens: only the newest stands here. A token that names the family and is not the newest was used
# before, so that the old ones need not be kept to be known.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("user_id", Uuid(as_uuid=False), nullable=False),
    # SHA-256: the token is random, so nothing slower is needed.
    Column("token_hash", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("expire_time", DateTime(timezone=True), nullable=False),
    Column("revoke_time", DateTime(timezone=True)),
    PrimaryKeyConstraint("id", name="sessions_pkey"),
    ForeignKeyConstraint(["user_id"], ["users.id"], name="sessions_user_fkey"),
    CheckConstraint("length(token_hash) = 32", name="sessions_hash_check"),
    Index("sessions_user_idx", "user_id"),
    Index("sessions_expire_idx", "expire_time"),
)

# What a merchant's programs show. A key that is revoked is gone.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(EnumName(ApiKey.Scope)), nullable=False),
    # SHA-256: the key is random, so nothing slower is needed.
    Column("key_hash", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    # To the minute.
    Column("last_use_time", DateTime(timezone=True)),
    PrimaryKeyConstraint("id", name="api_keys_pkey"),
    UniqueConstraint("key_hash", name="api_keys_hash_key"),
    ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name="api_keys_merchant_fkey"),
    CheckConstraint("length(key_hash) = 32", name="api_keys_hash_check"),
    Index("api_keys_merchant_idx", "merchant_id", "id"),
)

# Who may do what is no merchant's: made by a command, never by a registration (docs/adr/0013).
operators = Table(
    "operators",
    metadata,
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id", name="operators_pkey"),
    UniqueConstraint("email", name="operators_email_key"),
)

# How often a login failed of late, by email, by address, and by both together, and how often a registration was tried
# by email (see `lockout`).
login_counts = Table(
    "login_counts",
    metadata,
    # An HMAC: neither email nor address can be read from it.
    Column("key", LargeBinary, nullable=False),
    Column("failures", Double, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("next_time", DateTime(timezone=True), nullable=False),
    # A login of this email from this address has succeeded.
    Column("known", Boolean, nullable=False),
    Column("expire_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("key", name="login_counts_pkey"),
    Index("login_counts_expire_idx", "expire_time"),
)

# Each is published until it expires: the next one before it signs, so that whoever verifies has it by then, the active
# one, which signs, and those that are retired, until the last token they signed is over.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    # AES-GCM: nonce, then ciphertext and tag; the kid is authenticated with it.
    Column("private_key", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    # When it began to sign.
    Column("active_time", DateTime(timezone=True)),
    Column("expire_time", DateTime(timezone=True)),
    PrimaryKeyConstraint("kid", name="signing_keys_pkey"),
    CheckConstraint(
        "state = ANY (ARRAY['NEXT'::text, 'ACTIVE'::text, 'RETIRED'::text])", name="signing_keys_state_check"
    ),
    Index("signing_keys_state_idx", "state", unique=True, postgresql_where=text("state <> 'RETIRED'::text")),
)
