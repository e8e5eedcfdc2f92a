"""The schema. Columns are named like the fields of their message."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from astronote.accounts.v1.accounts_pb2 import QuietHours
from kit.rows import MessageJson
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

# The newest signs; each is published until it expires.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    # AES-GCM: nonce, then ciphertext and tag; the kid is authenticated with it.
    Column("private_key", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("expire_time", DateTime(timezone=True)),
    PrimaryKeyConstraint("kid", name="signing_keys_pkey"),
)
