"""Templates, campaigns and their frozen audiences."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import kit_tables, tenant_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Text(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("audience", postgresql.JSONB(), nullable=False),
        sa.Column("sender_name", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="DRAFT", nullable=False),
        sa.Column("failure", sa.Text(), server_default="", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finish_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("link_base_url", sa.Text(), server_default="", nullable=False),
        sa.Column("after_phone", sa.Text(), server_default="", nullable=False),
        sa.Column("frozen", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("targeted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("price", sa.Integer(), server_default="0", nullable=False),
        sa.Column("credits_held", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("tally", postgresql.JSONB(), nullable=True),
        sa.Column("tally_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("news_time", sa.DateTime(timezone=True), server_default=sa.text("'epoch'"), nullable=False),
        sa.Column("final", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("lease_id", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_expire_time", sa.DateTime(timezone=True), server_default=sa.text("'epoch'"), nullable=False),
        sa.Column("close_time", sa.DateTime(timezone=True), server_default=sa.text("'epoch'"), nullable=False),
        sa.CheckConstraint("credits_held >= 0 AND price >= 0 AND targeted >= 0", name="campaigns_amounts_check"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number", name="campaigns_number_key"),
    )
    op.create_index("campaigns_merchant_id_number_idx", "campaigns", ["merchant_id", "number"], unique=False)
    op.create_index("campaigns_state_idx", "campaigns", ["state"], unique=False, postgresql_where=sa.text("NOT final"))
    op.create_table(
        "templates",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("category", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("templates_merchant_id_id_idx", "templates", ["merchant_id", "id"], unique=False)
    op.create_table(
        "batches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("campaign_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("recipient_count", sa.Integer(), nullable=False),
        sa.Column("credits", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="READY", nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("publish_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('READY', 'PUBLISHED', 'TAKEN', 'DONE', 'CANCELLED')", name="batches_state_check"),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="batches_campaign_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("campaign_id", "number", name="batches_campaign_id_number_key"),
    )
    op.create_index(
        "batches_open_idx",
        "batches",
        ["campaign_id", "state", "number"],
        unique=False,
        postgresql_where=sa.text("state <> 'DONE'"),
    )
    kit_tables()
    tenant_table("templates")
    tenant_table("campaigns")
    tenant_table("batches")
    op.execute("ALTER TABLE batches ALTER COLUMN payload SET STORAGE EXTERNAL")
