"""Offers: what a campaign offers, and what people did with the links in their texts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import tenant_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("offer_link", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("campaigns", sa.Column("offer", postgresql.JSONB(), nullable=True))
    op.add_column("campaigns", sa.Column("company", sa.Text(), server_default="", nullable=False))
    op.add_column("campaigns", sa.Column("time_zone", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "responses",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("campaign_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("till_code", sa.Text(), nullable=False),
        sa.Column("views", sa.Integer(), server_default="0", nullable=False),
        sa.Column("redeem_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("redeem_user_id", sa.Text(), server_default="", nullable=False),
        sa.Column("redeem_api_key_id", sa.Text(), server_default="", nullable=False),
        sa.Column("unsubscribe_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("message_id"),
        sa.UniqueConstraint("merchant_id", "till_code", name="responses_merchant_id_till_code_key"),
    )
    op.create_table(
        "response_counts",
        sa.Column("campaign_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("views", sa.Integer(), server_default="0", nullable=False),
        sa.Column("viewers", sa.Integer(), server_default="0", nullable=False),
        sa.Column("redemptions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unsubscribes", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "shard"),
    )
    tenant_table("responses")
    tenant_table("response_counts")
