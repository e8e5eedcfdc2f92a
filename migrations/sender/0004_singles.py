"""Single texts: messages, attempts and batches without a campaign, and what is kept until their books are closed."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import tenant_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for table in ("batches", "attempts", "messages"):
        op.alter_column(table, "campaign_id", nullable=True)
    op.alter_column("messages", "contact_id", nullable=True)
    op.create_table(
        "singles",
        sa.Column("batch_id", sa.BigInteger(), sa.Identity(start=(1 << 45) + 1), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="PREPARED", nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('PREPARED', 'PAID', 'REFUSED')", name="singles_state_check"),
        sa.PrimaryKeyConstraint("batch_id"),
    )
    op.create_index("singles_due_time_idx", "singles", ["due_time"], unique=False)
    tenant_table("singles")
