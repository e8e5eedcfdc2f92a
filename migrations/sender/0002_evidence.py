"""Evidence for unknown messages: parked reports say which message they mean; unreadable reports are kept."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import pipeline_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("parked_reports", sa.Column("message_id", sa.BigInteger(), nullable=True))
    op.add_column("parked_reports", sa.Column("lookup_time", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "parked_reports", sa.Column("lookup_tries", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.create_index(
        "parked_reports_lookup_time_idx",
        "parked_reports",
        ["lookup_time"],
        unique=False,
        postgresql_where=sa.text("lookup_time IS NOT NULL"),
    )
    op.create_table(
        "quarantined_reports",
        sa.Column("webhook_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", "position"),
    )
    op.create_index("quarantined_reports_create_time_idx", "quarantined_reports", ["create_time"], unique=False)
    pipeline_table("quarantined_reports")
