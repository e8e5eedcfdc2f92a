"""The schema of campaigns. A column is named like its message's field; the rest is the road's own."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from astronote.campaigns.v1.automations_pb2 import Automation, Trigger
from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.campaigns.v1.experiments_pb2 import Experiment
from astronote.campaigns.v1.offers_pb2 import OfferTerms
from astronote.campaigns.v1.schedules_pb2 import Schedule
from astronote.contacts.v1.audience_pb2 import Audience, Rule
from astronote.sender.v1.events_pb2 import CampaignTally
from kit.rows import EnumName, MessageJson
from kit.store import kit_tables

metadata = MetaData()
kit_tables(metadata)

_NOW = func.now()
_LONG_AGO = text("'epoch'")

templates = Table(
    "templates",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True, server_default=func.gen_random_uuid()),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("language", Text, nullable=False, server_default=""),
    Column("category", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("update_time", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Index("templates_merchant_id_id_idx", "merchant_id", "id"),
)

# The texts that a template had before the one it has.
template_versions = Table(
    "template_versions",
    metadata,
    Column(
        "template_id",
        Uuid(as_uuid=False),
        ForeignKey("templates.id", name="template_versions_template_id_fkey", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("text", Text, nullable=False),
    # When the template was last changed, while it had this text.
    Column("update_time", DateTime(timezone=True), nullable=False),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True, server_default=func.gen_random_uuid()),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    # Lists are by it, newest first.
    Column("number", BigInteger, Identity(), nullable=False),
    Column("name", Text, nullable=False),
    Column("template_id", Text, nullable=False, server_default=""),
    Column("text", Text, nullable=False),
    Column("audience", MessageJson(Audience), nullable=False),
    Column("sender_name", Text, nullable=False, server_default=""),
    Column("offer_link", Boolean, nullable=False, server_default=text("false")),
    Column("offer", MessageJson(OfferTerms)),
    Column("track_links", Boolean, nullable=False, server_default=text("false")),
    Column("experiment", MessageJson(Experiment)),
    # By the place of the text, where the campaign tries several.
    Column("variant_recipients", JSONB, nullable=False, server_default="{}"),
    Column("on_long_text", EnumName(Campaign.OnLongText), nullable=False, server_default="ALLOW"),
    Column("template_version", Integer, nullable=False, server_default="0"),
    Column("schedule", MessageJson(Schedule)),
    # When the work on the next start begins, and the start that it is for (see schedules.py): the same, but where each
    # recipient has a clock of his own.
    Column("due_time", DateTime(timezone=True)),
    Column("occurrence_time", DateTime(timezone=True)),
    Column("missed_time", DateTime(timezone=True)),
    Column("state", EnumName(Campaign.State), nullable=False, server_default="DRAFT"),
    Column("failure", Text, nullable=False, server_default=""),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("start_time", DateTime(timezone=True)),
    Column("finish_time", DateTime(timezone=True)),
    # Frozen at the send: what the links begin with.
    Column("link_base_url", Text, nullable=False, server_default=""),
    # Frozen at the send: whose pages they are, and in whose time.
    Column("company", Text, nullable=False, server_default=""),
    Column("time_zone", Text, nullable=False, server_default=""),
    # How far the audience is frozen: a phone sorts once, so a resumed run meets nobody twice.
    Column("after_phone", Text, nullable=False, server_default=""),
    Column("frozen", Boolean, nullable=False, server_default=text("false")),
    Column("targeted", Integer, nullable=False, server_default="0"),
    Column("price", Integer, nullable=False, server_default="0"),
    # How the phones begin that it goes to, for the wallet's guards.
    Column("destinations", ARRAY(Text), nullable=False, server_default="{}"),
    Column("credits_held", Integer, nullable=False, server_default="0"),
    # What this service skipped itself, by reason; the rest is in the tally.
    Column("skipped", JSONB, nullable=False, server_default="{}"),
    Column("tally", MessageJson(CampaignTally)),
    Column("tally_version", BigInteger, nullable=False, server_default="0"),
    Column("news_time", DateTime(timezone=True), nullable=False, server_default=_LONG_AGO),
    Column("final", Boolean, nullable=False, server_default=text("false")),
    # Whoever freezes the audience holds the lease.
    Column("lease_id", Text, nullable=False, server_default=""),
    Column("lease_expire_time", DateTime(timezone=True), nullable=False, server_default=_LONG_AGO),
    # Its batches do not say any more who was texted what.
    Column("nameless", Boolean, nullable=False, server_default=text("false")),
    # When somebody looks whether its books can be closed.
    Column("close_time", DateTime(timezone=True), nullable=False, server_default=_LONG_AGO),
    Column("kind", EnumName(Campaign.Kind), nullable=False, server_default="CAMPAIGN"),
    Column("parent_id", Text, nullable=False, server_default=""),
    Column("archive_time", DateTime(timezone=True)),
    Column("throttle_per_hour", Integer, nullable=False, server_default="0"),
    # Until then nothing goes out, so that an hour has no more than that.
    Column("pace_time", DateTime(timezone=True), nullable=False, server_default=_LONG_AGO),
    Column("quiet_hours", EnumName(Campaign.HouseRule), nullable=False, server_default="MERCHANT"),
    Column("frequency_cap", EnumName(Campaign.HouseRule), nullable=False, server_default="MERCHANT"),
    # Frozen at the send; 0 where there is none.
    Column("cap_texts", Integer, nullable=False, server_default="0"),
    Column("cap_days", Integer, nullable=False, server_default="0"),
    # Frozen at the send, `HH:MM`; empty where there are none.
    Column("quiet_start", Text, nullable=False, server_default=""),
    Column("quiet_end", Text, nullable=False, server_default=""),
    # Whether it pauses by itself when failures or opt-outs spike.
    Column("guarded", Boolean, nullable=False, server_default=text("true")),
    UniqueConstraint("number", name="campaigns_number_key"),
    CheckConstraint("credits_held >= 0 AND price >= 0 AND targeted >= 0", name="campaigns_amounts_check"),
    # Each occurrence of a recurring campaign is made once, whoever makes it.
    Index(
        "campaigns_occurrence_idx",
        "parent_id",
        "occurrence_time",
        unique=True,
        postgresql_where=text("parent_id <> '' AND occurrence_time IS NOT NULL"),
    ),
    Index("campaigns_merchant_id_kind_number_idx", "merchant_id", "kind", "number"),
    Index("campaigns_parent_idx", "merchant_id", "parent_id", "number", postgresql_where=text("parent_id <> ''")),
    Index("campaigns_due_time_idx", "due_time", postgresql_where=text("state = 'SCHEDULED'")),
    Index("campaigns_state_idx", "state", postgresql_where=text("NOT final")),
    Index("campaigns_named_idx", "finish_time", postgresql_where=text("final AND NOT nameless")),
)

batches = Table(
    "batches",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column(
        "campaign_id", Uuid(as_uuid=False), ForeignKey("campaigns.id", name="batches_campaign_id_fkey"), nullable=False
    ),
    Column("number", Integer, nullable=False),
    # A serialized `SendBatch`; changed by forgetting people only.
    Column("payload", LargeBinary, nullable=False),
    Column("recipient_count", Integer, nullable=False),
    Column("credits", Integer, nullable=False),
    # READY → PUBLISHED → TAKEN → DONE, or CANCELLED from the first two.
    Column("state", Text, nullable=False, server_default="READY"),
    # Goes on the lane of the single texts.
    Column("expedited", Boolean, nullable=False, server_default=text("false")),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("publish_time", DateTime(timezone=True)),
    # Not published before; none: at once.
    Column("due_time", DateTime(timezone=True)),
    # By whose clock its recipients live (IANA); empty where nobody asked.
    Column("time_zone", Text, nullable=False, server_default=""),
    UniqueConstraint("campaign_id", "number", name="batches_campaign_id_number_key"),
    CheckConstraint("state IN ('READY', 'PUBLISHED', 'TAKEN', 'DONE', 'CANCELLED')", name="batches_state_check"),
    Index("batches_open_idx", "campaign_id", "state", "number", postgresql_where=text("state <> 'DONE'")),
)

# What somebody did with the links of a text. Who did nothing has no row. No foreign key leads to the campaign, since
# every reader would lock it.
responses = Table(
    "responses",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False), nullable=False),
    Column("contact_id", Uuid(as_uuid=False)),
    # Which of the campaign's texts it is, from 0.
    Column("variant", SmallInteger, nullable=False, server_default="0"),
    Column("till_code", Text, nullable=False),
    Column("views", Integer, nullable=False, server_default="0"),
    Column("clicks", Integer, nullable=False, server_default="0"),
    # The links that were followed: the first has bit 0.
    Column("clicked_links", Integer, nullable=False, server_default="0"),
    Column("click_time", DateTime(timezone=True)),
    Column("redeem_time", DateTime(timezone=True)),
    Column("redeem_user_id", Text, nullable=False, server_default=""),
    Column("redeem_api_key_id", Text, nullable=False, server_default=""),
    Column("unsubscribe_time", DateTime(timezone=True)),
    UniqueConstraint("merchant_id", "till_code", name="responses_merchant_id_till_code_key"),
    Index("responses_campaign_id_message_id_idx", "campaign_id", "message_id"),
)

RESPONSES = (
    "views",
    "viewers",
    "machine_views",
    "clicks",
    "clickers",
    "machine_clicks",
    "redemptions",
    "unsubscribes",
)
LINK_RESPONSES = ("clicks", "clickers", "machine_clicks")


def _counts(*names: str) -> list[Column[Any]]:
    return [Column(name, Integer, nullable=False, server_default="0") for name in names]


# The responses to a campaign, counted in shards, so that its readers don't wait for each other.
response_counts = Table(
    "response_counts",
    metadata,
    Column("campaign_id", Uuid(as_uuid=False), primary_key=True),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    *_counts(*RESPONSES),
    # What the history has of them, and whether that is less than there is.
    Column("folded", JSONB, nullable=False, server_default="{}"),
    Column("has_news", Boolean, nullable=False, server_default=text("false")),
    Index("response_counts_has_news_idx", "campaign_id", "shard", postgresql_where=text("has_news")),
)

# The same by the link of the text, in the same shards.
link_counts = Table(
    "link_counts",
    metadata,
    Column("campaign_id", Uuid(as_uuid=False), primary_key=True),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("link", SmallInteger, primary_key=True, autoincrement=False),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    *_counts(*LINK_RESPONSES),
)

# What happened in each quarter of an hour, by campaign and of all campaigns of a merchant. Time zones differ by whole
# quarters, so every zone's days are sums of them.
ACTIVITY = ("submitted", "delivered", "failed", "credits", *RESPONSES)
campaign_history = Table(
    "campaign_history",
    metadata,
    Column("campaign_id", Uuid(as_uuid=False), primary_key=True),
    Column("start_time", DateTime(timezone=True), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    *_counts(*ACTIVITY),
)
merchant_history = Table(
    "merchant_history",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("start_time", DateTime(timezone=True), primary_key=True),
    *_counts(*ACTIVITY),
)

automations = Table(
    "automations",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    # `welcome`, `birthday`, or a UUID.
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("trigger", MessageJson(Trigger), nullable=False),
    Column("conditions", MessageJson(Rule)),
    Column("repeat", EnumName(Automation.Repeat), nullable=False),
    Column("delay_minutes", Integer, nullable=False),
    Column("daily_time", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("offer_link", Boolean, nullable=False),
    Column("offer", MessageJson(OfferTerms)),
    Column("track_links", Boolean, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("update_time", DateTime(timezone=True), nullable=False, server_default=_NOW),
    # When a daily one is asked next; none while it is off.
    Column("run_time", DateTime(timezone=True)),
    # Whoever asks it holds the lease.
    Column("lease_id", Text, nullable=False, server_default=""),
    Column("lease_expire_time", DateTime(timezone=True), nullable=False, server_default=_LONG_AGO),
    Index("automations_run_time_idx", "run_time", postgresql_where=text("run_time IS NOT NULL")),
)

# To whom the trigger of an automation happened: once for each occasion, for ever.
enrolments = Table(
    "enrolments",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("automation_id", Text, primary_key=True),
    Column("contact_id", Uuid(as_uuid=False), primary_key=True),
    Column("occasion", Text, primary_key=True),
    # WAITING → SENT, which is that its text stands in a campaign, or SKIPPED.
    Column("state", Text, nullable=False, server_default="WAITING"),
    Column("skip_reason", Text, nullable=False, server_default=""),
    Column("due_time", DateTime(timezone=True), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False)),
    Column("lease_id", Text, nullable=False, server_default=""),
    Column("lease_expire_time", DateTime(timezone=True), nullable=False, server_default=_LONG_AGO),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=_NOW),
    CheckConstraint("state IN ('WAITING', 'SENT', 'SKIPPED')", name="enrolments_state_check"),
    Index("enrolments_due_time_idx", "due_time", postgresql_where=text("state = 'WAITING'")),
    Index("enrolments_create_time_idx", "merchant_id", "automation_id", "create_time"),
)

# Whom a campaign with a hold-out was for: 16 bytes a contact, a page of the audience a row.
hold_outs = Table(
    "hold_outs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("campaign_id", Uuid(as_uuid=False), nullable=False),
    Column("texted_ids", LargeBinary, nullable=False),
    Column("held_out_ids", LargeBinary, nullable=False),
    Index("hold_outs_campaign_id_idx", "campaign_id"),
)

# Who of them did what the campaign was for, as the merchant says.
conversions = Table(
    "conversions",
    metadata,
    Column("campaign_id", Uuid(as_uuid=False), primary_key=True),
    Column("contact_id", Uuid(as_uuid=False), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("held_out", Boolean, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=_NOW),
)
