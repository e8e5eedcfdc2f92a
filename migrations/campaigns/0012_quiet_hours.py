"""Campaigns heed the quiet hours of the merchant."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("quiet_hours", sa.Text(), server_default="MERCHANT", nullable=False))
    op.add_column("campaigns", sa.Column("quiet_start", sa.Text(), server_default="", nullable=False))
    op.add_column("campaigns", sa.Column("quiet_end", sa.Text(), server_default="", nullable=False))
