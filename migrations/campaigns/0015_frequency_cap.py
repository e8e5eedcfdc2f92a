"""Campaigns heed the frequency cap of the merchant."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("frequency_cap", sa.Text(), server_default="MERCHANT", nullable=False))
    op.add_column("campaigns", sa.Column("cap_texts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("campaigns", sa.Column("cap_days", sa.Integer(), server_default="0", nullable=False))
