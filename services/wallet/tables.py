"""The schema. Columns are named like the fields of their message."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, JSONB

from astronote.wallet.v1.billing_pb2 import Purchase, StripeEvent
from astronote.wallet.v1.catalogue_pb2 import Plan
from astronote.wallet.v1.wallet_pb2 import HoldRecord, Subscription, Transaction
from kit.rows import EnumName
from kit.store import kit_tables

metadata = MetaData()
kit_tables(metadata)

# The balance of every account of a merchant in one row: one lock a merchant, and no order to take several in. Credits
# come from `granted` and `purchased`, or are owed, so that the six accounts of the ledger sum to zero.
wallets = Table(
    "wallets",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("available", BIGINT, nullable=False, server_default="0"),
    Column("held", BIGINT, nullable=False, server_default="0"),
    Column("spent", BIGINT, nullable=False, server_default="0"),
    Column("granted", BIGINT, nullable=False, server_default="0"),
    Column("purchased", BIGINT, nullable=False, server_default="0"),
    Column("debt", BIGINT, nullable=False, server_default="0"),
    Column("create_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", name="wallets_pkey"),
    CheckConstraint("available >= 0", name="wallets_available_check"),
    CheckConstraint("held >= 0", name="wallets_held_check"),
    CheckConstraint("available + held + spent = granted + purchased + debt", name="wallets_sum_check"),
    CheckConstraint("debt = 0 OR (debt > 0 AND available = 0)", name="wallets_debt_check"),
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
    Index("journals_create_time_idx", "merchant_id", "create_time", "number"),
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
    CheckConstraint(
        "account IN ('available', 'held', 'spent', 'granted', 'purchased', 'debt')", name="entries_account_check"
    ),
    CheckConstraint("amount <> 0", name="entries_amount_check"),
)

# A plan that was given has no id at Stripe. `look` is the number of the look at Stripe that the row shows: what one
# before it saw changes nothing. Until `change_expire_time` somebody changes the plan, and nobody else may.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("stripe_id", Text),
    Column("plan", Text, nullable=False),
    Column("state", EnumName(Subscription.State), nullable=False),
    Column("period_start_time", DateTime(timezone=True)),
    Column("period_end_time", DateTime(timezone=True)),
    Column("next_plan", Text, nullable=False, server_default=""),
    Column("ends_with_period", Boolean, nullable=False, server_default="false"),
    Column("look", BIGINT, nullable=False, server_default="0"),
    Column("change_expire_time", DateTime(timezone=True), nullable=False, server_default=text("'epoch'")),
    PrimaryKeyConstraint("merchant_id", name="subscriptions_pkey"),
)

# Credits that expire. `remaining` is as of the moment when so many credits were `used`: held or spent.
promotions = Table(
    "promotions",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("amount", BIGINT, nullable=False),
    Column("remaining", BIGINT, nullable=False),
    Column("used", BIGINT, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expire_time", DateTime(timezone=True), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", "id", name="promotions_pkey"),
    CheckConstraint("0 <= remaining AND remaining <= amount", name="promotions_remaining_check"),
    Index("promotions_expire_time_idx", "expire_time", postgresql_where=text("remaining > 0")),
)

# `used` is what was held on `day`, of the time zone, less what was given back of it; counted only where this stands.
spend_limits = Table(
    "spend_limits",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("daily_credits_max", Integer, nullable=False),
    Column("calling_codes", ARRAY(Text), nullable=False),
    Column("low_balance_credits", Integer, nullable=False),
    Column("top_up_credits", Integer, nullable=False, server_default="0"),
    Column("top_up_monthly_cents_max", Integer, nullable=False, server_default="0"),
    # Before then nothing is bought again.
    Column("top_up_time", DateTime(timezone=True), nullable=False, server_default=text("'epoch'")),
    Column("time_zone", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("used", BIGINT, nullable=False),
    PrimaryKeyConstraint("merchant_id", name="spend_limits_pkey"),
    Index("spend_limits_top_up_idx", "top_up_time", postgresql_where=text("top_up_credits > 0")),
    CheckConstraint("daily_credits_max >= 0 AND low_balance_credits >= 0", name="spend_limits_positive_check"),
)

# One row, for all merchants. Without it the brake is pulled.
spend_policy = Table(
    "spend_policy",
    metadata,
    Column("id", Integer, nullable=False, server_default="1"),
    Column("braked", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("calling_codes", ARRAY(Text), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id", name="spend_policy_pkey"),
    CheckConstraint("id = 1", name="spend_policy_one_check"),
)

# The catalogue, for all merchants.
packages = Table(
    "packages",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("credits", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("price_cents", Integer, nullable=False),
    Column("stripe_price_id", Text, nullable=False, server_default=""),
    Column("listed", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("id", name="packages_pkey"),
    CheckConstraint("credits > 0 AND price_cents > 0", name="packages_positive_check"),
)

plans = Table(
    "plans",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("interval", EnumName(Plan.Interval), nullable=False),
    Column("credits", Integer, nullable=False, server_default="0"),
    Column("currency", Text, nullable=False),
    Column("price_cents", Integer, nullable=False),
    Column("stripe_price_id", Text, nullable=False, server_default=""),
    Column("listed", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("id", name="plans_pkey"),
    CheckConstraint("credits >= 0 AND price_cents > 0", name="plans_positive_check"),
)

top_up_prices = Table(
    "top_up_prices",
    metadata,
    Column("currency", Text, nullable=False),
    Column("credit_micros", Integer, nullable=False),
    Column("credits_min", Integer, nullable=False),
    Column("credits_max", Integer, nullable=False),
    PrimaryKeyConstraint("currency", name="top_up_prices_pkey"),
    CheckConstraint("credit_micros > 0", name="top_up_prices_positive_check"),
    CheckConstraint("1 <= credits_min AND credits_min <= credits_max", name="top_up_prices_range_check"),
)

vat_rates = Table(
    "vat_rates",
    metadata,
    Column("country", Text, nullable=False),
    Column("basis_points", Integer, nullable=False),
    PrimaryKeyConstraint("country", name="vat_rates_pkey"),
    CheckConstraint("basis_points BETWEEN 0 AND 10000", name="vat_rates_range_check"),
)

# Who changed what, as JSON. Append-only, by a trigger.
catalogue_changes = Table(
    "catalogue_changes",
    metadata,
    Column("number", BIGINT, Identity(), nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("change_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("number", name="catalogue_changes_pkey"),
)

# Who a merchant is at Stripe.
customers = Table(
    "customers",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("id", Text, nullable=False),
    PrimaryKeyConstraint("merchant_id", name="customers_pkey"),
)

# `gained`, `refunded` and `disputed` are the credits that are booked for it, so that a look books the difference only.
purchases = Table(
    "purchases",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("number", BIGINT, Identity(), nullable=False),
    Column("kind", EnumName(Purchase.Kind), nullable=False),
    Column("item", Text, nullable=False),
    Column("credits", BIGINT, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total_cents", BIGINT, nullable=False),
    Column("vat_cents", BIGINT, nullable=False),
    Column("state", EnumName(Purchase.State), nullable=False),
    Column("refunded_cents", BIGINT, nullable=False, server_default="0"),
    Column("disputed_cents", BIGINT, nullable=False, server_default="0"),
    Column("gained", BIGINT, nullable=False, server_default="0"),
    Column("refunded", BIGINT, nullable=False, server_default="0"),
    Column("disputed", BIGINT, nullable=False, server_default="0"),
    Column("session", JSONB),
    Column("session_id", Text),
    Column("url", Text, nullable=False, server_default=""),
    Column("look", BIGINT, nullable=False, server_default="0"),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("pay_time", DateTime(timezone=True)),
    Column("automatic", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("merchant_id", "id", name="purchases_pkey"),
    CheckConstraint("credits >= 0 AND total_cents >= 0", name="purchases_positive_check"),
    CheckConstraint(
        "refunded >= 0 AND disputed >= 0 AND refunded + disputed <= gained AND gained <= credits",
        name="purchases_gained_check",
    ),
    Index("purchases_number_idx", "merchant_id", "number", unique=True),
)

# What Stripe says, as it came, before anybody believes it. `due_time` is when it may be taken (again).
stripe_events = Table(
    "stripe_events",
    metadata,
    Column("id", Text, nullable=False),
    Column("number", BIGINT, Identity(), nullable=False),
    Column("type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", EnumName(StripeEvent.State), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text, nullable=False, server_default=""),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("due_time", DateTime(timezone=True), nullable=False),
    Column("handle_time", DateTime(timezone=True)),
    PrimaryKeyConstraint("id", name="stripe_events_pkey"),
    Index("stripe_events_number_idx", "number", unique=True),
    Index("stripe_events_create_time_idx", "create_time"),
    Index("stripe_events_due_time_idx", "due_time", postgresql_where=text("state = 'PENDING'")),
)

# One row: up to when Stripe's own list of events was read, and when that is done next.
stripe_repairs = Table(
    "stripe_repairs",
    metadata,
    Column("name", Text, nullable=False),
    Column("end_time", DateTime(timezone=True), nullable=False),
    Column("due_time", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("name", name="stripe_repairs_pkey"),
)

# Every look at Stripe has a number, taken before it begins.
looks = Sequence("looks", metadata=metadata)
