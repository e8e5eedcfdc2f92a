"""Who followed the links of a text, people and machines apart; and what happened when, by quarters of an hour."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import tenant_table

revision = "0007"
down_revision = "0006"

ID = sa.Uuid(as_uuid=False)
LINKS = ("clicks", "clickers", "machine_clicks")
RESPONSES = ("views", "viewers", "machine_views", *LINKS, "redemptions", "unsubscribes")
ACTIVITY = ("submitted", "delivered", "failed", "credits", *RESPONSES)


def counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in names]


def key(name: str, kind: sa.types.TypeEngine[object]) -> sa.Column[object]:
    return sa.Column(name, kind, autoincrement=False, primary_key=True)


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("track_links", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("responses", sa.Column("variant", sa.SmallInteger(), server_default="0", nullable=False))
    for column in counts("clicks", "clicked_links"):
        op.add_column("responses", column)
    op.add_column("responses", sa.Column("click_time", sa.DateTime(timezone=True), nullable=True))
    op.create_index("responses_campaign_id_message_id_idx", "responses", ["campaign_id", "message_id"])
    for column in counts("machine_views", *LINKS):
        op.add_column("response_counts", column)
    news = [
        sa.Column("folded", postgresql.JSONB(), server_default="{}", nullable=False),
        # What was counted before there was a history goes into it at once.
        sa.Column("has_news", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    ]
    for column in news:
        op.add_column("response_counts", column)
    op.alter_column("response_counts", "has_news", server_default=sa.text("false"))
    fresh = sa.text("has_news")
    op.create_index("response_counts_has_news_idx", "response_counts", ["campaign_id", "shard"], postgresql_where=fresh)
    start, small = sa.DateTime(timezone=True), sa.SmallInteger()
    link = [key("campaign_id", ID), key("shard", small), key("link", small)]
    op.create_table("link_counts", *link, sa.Column("merchant_id", ID, nullable=False), *counts(*LINKS))
    moment = [key("campaign_id", ID), key("start_time", start)]
    op.create_table("campaign_history", *moment, sa.Column("merchant_id", ID, nullable=False), *counts(*ACTIVITY))
    moment = [key("merchant_id", ID), key("start_time", start)]
    op.create_table("merchant_history", *moment, *counts(*ACTIVITY))
    for table in ("link_counts", "campaign_history", "merchant_history"):
        tenant_table(table)
