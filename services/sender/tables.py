"""The schema of the sender."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from astronote.sender.v1.inbound_pb2 import InboundText
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


# What a sender has in hand. The payload is with campaigns; this is how far it is, and whose it is. No campaign here and
# below: a single text.
batches = Table(
    "batches",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False)),
    Column("state", Text, nullable=False, server_default="OPEN"),
    Column("recipient_count", Integer, nullable=False),
    # Recipients before it have an outcome.
    Column("next_index", Integer, nullable=False, server_default=_ZERO),
    # Tries that the provider is known not to have taken, of the recipients from `next_index` on.
    Column("tries", Integer, nullable=False, server_default=_ZERO),
    Column("lease_id", Text, nullable=False),
    _time("lease_expire_time", nullable=False),
    # When it last came further: its texts are kept for a while from then on. None once they are gone.
    _time("advance_time", server_default=_NOW),
    CheckConstraint("state IN ('OPEN', 'DONE')", name="batches_state_check"),
    CheckConstraint("next_index BETWEEN 0 AND recipient_count", name="batches_next_index_check"),
    Index("batches_campaign_id_idx", "campaign_id"),
    Index("batches_kept_idx", "advance_time", postgresql_where=text("state = 'DONE' AND advance_time IS NOT NULL")),
)

# "These recipients are about to be submitted", committed before a byte leaves.
attempts = Table(
    "attempts",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False)),
    Column("batch_id", BigInteger, nullable=False),
    Column("hold_id", Uuid(as_uuid=False), nullable=False),
    Column("first_message_id", BigInteger, nullable=False),
    Column("first_index", Integer, nullable=False),
    Column("recipient_count", Integer, nullable=False),
    # Indexes in the batch that are not submitted, since these people have opted out.
    Column("skipped_indexes", ARRAY(Integer), nullable=False),
    # And since they have had as many texts as the merchant allows.
    Column("capped_indexes", ARRAY(Integer), nullable=False, server_default="{}"),
    # Of a capped batch, while it is open: the 16 bytes of each contact who is submitted, side by side.
    Column("contact_ids", LargeBinary),
    # OPEN → ACCEPTED, REFUSED, NOT_SENT, UNKNOWN; UNKNOWN → ACCEPTED by evidence.
    Column("state", Text, nullable=False, server_default="OPEN"),
    Column("detail", Text, nullable=False, server_default=""),
    _time("create_time", nullable=False, server_default=_NOW),
    _time("finish_time"),
    # Set once none of its messages waits for a report any more.
    _time("close_time"),
    Index("attempts_batch_id_idx", "batch_id"),
    Index("attempts_contact_ids_idx", "merchant_id", postgresql_where=text("contact_ids IS NOT NULL")),
    Index("attempts_waiting_idx", "finish_time", postgresql_where=text("close_time IS NULL")),
)

messages = Table(
    "messages",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False)),
    Column("contact_id", Uuid(as_uuid=False)),
    Column("attempt_id", Uuid(as_uuid=False)),
    # None once it is forgotten: a hash index leaves that out, and would chain millions of empty texts in one bucket.
    Column("to", Text),
    Column("text", Text, nullable=False),
    Column("segments", Integer, nullable=False),
    Column("credits", Integer, nullable=False),
    Column("state", EnumName(Message.State), nullable=False),
    Column("provider_message_id", Text),
    Column("error", Text, nullable=False),
    _time("submit_time"),
    _time("finish_time"),
    # When its link was opened, where nothing else had shown by then that the provider took it.
    _time("link_open_time"),
    Index("messages_provider_message_id_key", "provider_message_id", unique=True),
    Index("messages_merchant_id_id_idx", "merchant_id", "id"),
    Index("messages_to_idx", "to", postgresql_using="hash"),
    # A report changes no indexed column: with room in the page for a second version of each, none needs an index entry.
    postgresql_with={"fillfactor": 45},
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
    # Our message, where the report or a look-up says which one it is.
    Column("message_id", BigInteger),
    _time("create_time", nullable=False, server_default=_NOW),
    _time("try_time", nullable=False, server_default=_NOW),
    # When the provider is asked whose it is; none where there is nothing to ask.
    _time("lookup_time"),
    Column("lookup_tries", Integer, nullable=False, server_default=_ZERO),
    Index("parked_reports_try_time_idx", "try_time"),
    Index("parked_reports_lookup_time_idx", "lookup_time", postgresql_where=text("lookup_time IS NOT NULL")),
)

# Items of a webhook that we can't read: kept until somebody looks, and read again by a replay.
quarantined_reports = Table(
    "quarantined_reports",
    metadata,
    Column("webhook_id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
    # JSON, as far as it is worth keeping.
    Column("item", Text, nullable=False),
    _time("create_time", nullable=False, server_default=_NOW),
    Index("quarantined_reports_create_time_idx", "create_time"),
)

# Single texts that came together, from their hold until their books are closed. Batches of campaigns have ids below the
# first of these.
singles = Table(
    "singles",
    metadata,
    Column("batch_id", BigInteger, Identity(start=(1 << 45) + 1), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    # Of the release before; now they are the `request_ids`.
    Column("request_id", Text, nullable=False),
    Column("request_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("hold_id", Uuid(as_uuid=False), nullable=False),
    Column("amount", Integer, nullable=False),
    # A serialized SendBatch.
    Column("payload", LargeBinary, nullable=False),
    # PREPARED → PAID, or → REFUSED by the wallet.
    Column("state", Text, nullable=False, server_default="PREPARED"),
    # Somebody was told that they are queued while the wallet was away: a refusal stands in the messages from then on.
    Column("is_answered", Boolean, nullable=False, server_default=false()),
    Column("generation", Integer, nullable=False, server_default=_ZERO),
    # When somebody looks after it next.
    _time("due_time", nullable=False),
    # Of the request that asked for it.
    Column("traceparent", Text, nullable=False, server_default=""),
    CheckConstraint("state IN ('PREPARED', 'PAID', 'REFUSED')", name="singles_state_check"),
    Index("singles_due_time_idx", "due_time"),
)

# Numbers that texts come from, and who used them when; to the day.
sender_numbers = Table(
    "sender_numbers",
    metadata,
    Column("number", Text, primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    _time("use_time", nullable=False, server_default=_NOW),
)

# What customers texted, whoever it is for.
arrivals = Table(
    "arrivals",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("phone", Text, nullable=False),
    Column("to", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("kind", EnumName(InboundText.Kind), nullable=False),
    _time("receive_time", nullable=False),
    # When merchants whom it is for are looked for: first when it was received; none once that is over.
    _time("look_time"),
    Index("arrivals_look_time_idx", "look_time", postgresql_where=text("look_time IS NOT NULL")),
    Index("arrivals_receive_time_idx", "receive_time"),
)

# An arrival as one merchant sees it, and how far it is obeyed.
inbound_texts = Table(
    "inbound_texts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("phone", Text, nullable=False),
    Column("to", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("kind", EnumName(InboundText.Kind), nullable=False),
    Column("state", EnumName(InboundText.State), nullable=False),
    Column("opt_out", Boolean, nullable=False, server_default=false()),
    _time("receive_time", nullable=False),
    _time("finish_time"),
    # When it is tried next, while it is pending.
    _time("due_time", nullable=False, server_default=_NOW),
    Index("inbound_texts_key_key", "key", "merchant_id", unique=True),
    Index("inbound_texts_merchant_id_id_idx", "merchant_id", "id"),
    Index("inbound_texts_phone_idx", "merchant_id", "phone", "id"),
    Index("inbound_texts_receive_time_idx", "receive_time"),
    Index("inbound_texts_due_time_idx", "due_time", postgresql_where=text("state = 'PENDING'")),
)

# The road to the provider under one traffic account: its breaker.
routes = Table(
    "routes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("is_open", Boolean, nullable=False, server_default=false()),
    Column("reason", Text, nullable=False, server_default=""),
    _time("retry_time", nullable=False, server_default=_LONG_AGO),
    Column("recent", Text, nullable=False, server_default=""),
    Column("is_cautious", Boolean, nullable=False, server_default=false()),
    # An operator holds all submissions.
    Column("is_drained", Boolean, nullable=False, server_default=false()),
)

# Until when a limit is spoken for, in each lane: `account:<id>:<lane>`, `merchant:<id>:<lane>`.
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", Text, primary_key=True),
    _time("requests_time", nullable=False, server_default=_LONG_AGO),
    _time("messages_time", nullable=False, server_default=_LONG_AGO),
    _time("turn_time", nullable=False, server_default=_LONG_AGO),
    # A few rows, changed all the time: with room in the page the old versions go by themselves.
    postgresql_with={"fillfactor": 50},
)
