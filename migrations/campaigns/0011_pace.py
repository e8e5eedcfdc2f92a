"""Campaigns that go out no faster than the merchant wants, and that pause by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.add_column("campaigns", sa.Column("throttle_per_hour", sa.Integer(), server_default="0", nullable=False))
    op.add_column("campaigns", sa.Column("pace_time", time, server_default=sa.text("'epoch'"), nullable=False))
    op.add_column("campaigns", sa.Column("guarded", sa.Boolean(), server_default=sa.text("true"), nullable=False))
