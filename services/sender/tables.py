"""The schema of the sender."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from astronote.sender.v1.sender_pb2 import Message
from kit.rows import EnumName
from kit.store import kit_tables

metadata = MetaData()
kit_tables(metadata)

_NOW = func.now()
_LONG_AGO = text("'epoch'")
_ZERO = text("0")


def _time(name: str, **options: object) -> "Column[object]":
    return Column(name, DateTime(timezone=True), **options)  # type: ignore[arg-type]


# What a sender has in hand. The payload is with campaigns; this is how far it is, and whose it is.
batches = Table(
    "batches",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False), nullable=False),
    Column("state", Text, nullable=False, server_default="OPEN"),
    Column("recipient_count", Integer, nullable=False),
    # Recipients before it have an outcome.
    Column("next_index", Integer, nullable=False, server_default=_ZERO),
    # Tries that the provider is known not to have taken, of the recipients from `next_index` on.
    Column("tries", Integer, nullable=False, server_default=_ZERO),
    Column("lease_id", Text, nullable=False),
    _time("lease_expire_time", nullable=False),
    CheckConstraint("state IN ('OPEN', 'DONE')", name="batches_state_check"),
    CheckConstraint("next_index BETWEEN 0 AND recipient_count", name="batches_next_index_check"),
    Index("batches_campaign_id_idx", "campaign_id"),
)

# "These recipients are about to be submitted", committed before a byte leaves.
attempts = Table(
    "attempts",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False), nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("hold_id", Uuid(as_uuid=False), nullable=False),
    Column("first_message_id", BigInteger, nullable=False),
    Column("first_index", Integer, nullable=False),
    Column("recipient_count", Integer, nullable=False),
    # Indexes in the batch that are not submitted, since these people have opted out.
    Column("skipped_indexes", ARRAY(Integer), nullable=False),
    # OPEN → ACCEPTED, REFUSED, NOT_SENT, UNKNOWN; UNKNOWN → ACCEPTED by evidence.
    Column("state", Text, nullable=False, server_default="OPEN"),
    Column("detail", Text, nullable=False, server_default=""),
    _time("create_time", nullable=False, server_default=_NOW),
    _time("finish_time"),
    # Set once none of its messages waits for a report any more.
    _time("close_time"),
    Index("attempts_batch_id_idx", "batch_id"),
    Index("attempts_waiting_idx", "finish_time", postgresql_where=text("close_time IS NULL")),
)

messages = Table(
    "messages",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False), nullable=False),
    Column("contact_id", Uuid(as_uuid=False), nullable=False),
    Column("attempt_id", Uuid(as_uuid=False)),
    Column("to", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("segments", Integer, nullable=False),
    Column("credits", Integer, nullable=False),
    Column("state", EnumName(Message.State), nullable=False),
    Column("provider_message_id", Text),
    Column("error", Text, nullable=False),
    _time("submit_time"),
    _time("finish_time"),
    Index("messages_provider_message_id_key", "provider_message_id", unique=True),
    Index("messages_merchant_id_id_idx", "merchant_id", "id"),
    Index("messages_to_idx", "to", postgresql_using="hash"),
    # A report changes no indexed column: with room in the page the new version needs no index entry.
    postgresql_with={"fillfactor": 60},
)

tallies = Table(
    "tallies",
    metadata,
    Column("campaign_id", Uuid(as_uuid=False), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("version", BigInteger, nullable=False, server_default=_ZERO),
    *(
        Column(name, Integer, nullable=False, server_default=_ZERO)
        for name in ("accepted", "delivered", "failed", "rejected", "expired", "unknown")
    ),
    Column("skipped", JSONB, nullable=False, server_default="{}"),
    Column("credits_captured", Integer, nullable=False, server_default=_ZERO),
    Column("credits_released", Integer, nullable=False, server_default=_ZERO),
)

# What the wallet has not confirmed yet.
settlements = Table(
    "settlements",
    metadata,
    Column("key", Text, primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("hold_id", Uuid(as_uuid=False), nullable=False),
    Column("capture", Integer, nullable=False),
    Column("release", Integer, nullable=False),
    _time("claim_expire_time", nullable=False, server_default=_LONG_AGO),
)

# What the provider posted, as it came.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _time("create_time", nullable=False, server_default=_NOW),
    _time("apply_time"),
    Index("webhooks_waiting_idx", "id", postgresql_where=text("apply_time IS NULL")),
    Index("webhooks_create_time_idx", "create_time"),
)

# Reports whose message is not there yet: they can be faster than our own commit.
parked_reports = Table(
    "parked_reports",
    metadata,
    Column("provider_message_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    _time("time", nullable=False),
    Column("error", Text, nullable=False),
    _time("create_time", nullable=False, server_default=_NOW),
    _time("try_time", nullable=False, server_default=_NOW),
    Index("parked_reports_try_time_idx", "try_time"),
)
