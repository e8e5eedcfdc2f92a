"""The schema. Columns are named like the fields of their message."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import BIGINT

from astronote.wallet.v1.wallet_pb2 import HoldRecord, Subscription, Transaction
from kit.rows import EnumName
from kit.store import kit_tables

metadata = MetaData()
kit_tables(metadata)

# The balance of every account of a merchant in one row: one lock a merchant, and no order to take several in. Credits
# come from `granted` and `purchased`, so that the five accounts of the ledger sum to zero.
wallets = Table(
    "wallets",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("available", BIGINT, nullable=False, server_default="0"),
    Column("held", BIGINT, nullable=False, server_default="0"),
    Column("spent", BIGINT, nullable=False, server_default="0"),
    Column("granted", BIGINT, nullable=False, server_default="0"),
    Column("purchased", BIGINT, nullable=False, server_default="0"),
    Column("create_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", name="wallets_pkey"),
    CheckConstraint("available >= 0", name="wallets_available_check"),
    CheckConstraint("held >= 0", name="wallets_held_check"),
    CheckConstraint("available + held + spent = granted + purchased", name="wallets_sum_check"),
)

# `number` is the order in which they were made.
holds = Table(
    "holds",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("number", BIGINT, Identity(), nullable=False),
    Column("amount", BIGINT, nullable=False),
    Column("captured", BIGINT, nullable=False, server_default="0"),
    Column("released", BIGINT, nullable=False, server_default="0"),
    Column("state", EnumName(HoldRecord.State), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", "id", name="holds_pkey"),
    CheckConstraint("amount > 0 AND captured >= 0 AND released >= 0", name="holds_positive_check"),
    CheckConstraint("captured + released <= amount", name="holds_exceeded_check"),
    CheckConstraint("state <> 'CLOSED' OR captured + released = amount", name="holds_closed_check"),
    Index("holds_number_idx", "merchant_id", "number", unique=True),
)

# Append-only, by triggers. `answer` is what the call was answered, for when its key comes again.
journals = Table(
    "journals",
    metadata,
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("number", BIGINT, Identity(), nullable=False),
    Column("key", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("kind", EnumName(Transaction.Kind), nullable=False),
    Column("hold_id", Uuid(as_uuid=False)),
    Column("reason", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", "id", name="journals_pkey"),
    UniqueConstraint("merchant_id", "key", name="journals_key_key"),
    ForeignKeyConstraint(["merchant_id", "hold_id"], ["holds.merchant_id", "holds.id"], name="journals_hold_fkey"),
    Index("journals_number_idx", "merchant_id", "number", unique=True),
)

# Append-only, by triggers, and balanced: every INSERT sums to zero in each journal.
entries = Table(
    "entries",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("journal_id", Uuid(as_uuid=False), nullable=False),
    Column("account", Text, nullable=False),
    Column("amount", BIGINT, nullable=False),
    PrimaryKeyConstraint("merchant_id", "journal_id", "account", name="entries_pkey"),
    ForeignKeyConstraint(
        ["merchant_id", "journal_id"], ["journals.merchant_id", "journals.id"], name="entries_journal_fkey"
    ),
    CheckConstraint("account IN ('available', 'held', 'spent', 'granted', 'purchased')", name="entries_account_check"),
    CheckConstraint("amount <> 0", name="entries_amount_check"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("plan", Text, nullable=False),
    Column("state", EnumName(Subscription.State), nullable=False),
    Column("period_end_time", DateTime(timezone=True)),
    PrimaryKeyConstraint("merchant_id", name="subscriptions_pkey"),
)
